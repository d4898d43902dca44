//! What every backend of [`Store`] must do, as functions over the trait. A backend runs them all with
//! [`contract_tests`], each on an empty store of its own.

pub(super) mod accounts;
pub(super) mod changes;
pub(super) mod events;
pub(super) mod guards;
pub(super) mod health;
pub(super) mod hints;
pub(super) mod images;
pub(super) mod intents;
pub(super) mod lists;
pub(super) mod numbers;
pub(super) mod past;
pub(super) mod several_doors;
pub(super) mod sweeps;

use std::sync::Arc;

use crate::oci::{Digest, Manifest, Reference};
use crate::store::sample::{alice, at, put, repository, tag};
use crate::store::{
    Change, Event, EventKind, Guard, Outcome, PageRequest, Recorded, Settled, Source, Store, Write,
};

/// Runs the whole contract. `$open` makes an empty store: it answers an `Arc<dyn Store>` and whatever has to live as
/// long as that.
macro_rules! contract_tests {
    ($open:path) => {
        $crate::store::contract::contract_tests! { $open, changes;
            an_observed_push_is_recorded_whole
            a_push_by_digest_is_one_event_without_a_tag
            pushing_the_same_again_refreshes_the_tag_and_counts_nothing_twice
            what_was_found_has_a_time_of_finding_and_no_push_time
            moving_a_tag_names_what_it_pointed_to
            what_is_found_makes_events_only_for_what_differs
            deleting_a_tag_leaves_its_manifest
            deleting_a_manifest_takes_its_tags
            a_tag_whose_fate_is_undecided_outlives_its_manifest_until_more_is_known
            an_emptied_repository_stays_known_until_it_is_gone
            a_deletion_through_the_door_is_told_of_whether_or_not_the_record_had_it
            content_is_kept_as_long_as_its_own_repository_has_it
            what_a_deleted_manifest_said_is_kept_for_a_while
            referrers_come_and_go_with_their_manifests
        }
        $crate::store::contract::contract_tests! { $open, lists;
            lists_are_complete_and_in_bytewise_order_at_any_page_size
            names_are_listed_from_behind_any_text_on
            any_changes_come_to_what_a_naive_model_holds
        }
        $crate::store::contract::contract_tests! { $open, events;
            parts_of_the_history_add_up_to_it_in_either_order_whatever_the_clock_did
            who_follows_the_events_is_woken_when_they_are_there_to_be_read
        }
        $crate::store::contract::contract_tests! { $open, intents;
            an_intent_is_open_until_it_is_settled
            an_intent_that_nobody_carries_stays_open_and_unknown
            an_unknown_intent_is_put_off_until_a_time_and_no_other
            what_is_settled_twice_is_lost_and_changes_nothing
            only_who_carries_an_intent_settles_it
            writes_to_one_tag_are_carried_one_after_the_other_in_their_order
            one_that_waits_is_overtaken_by_none_and_may_be_given_up
            a_deletion_by_digest_is_carried_alone_in_its_repository
            who_waits_hears_when_it_is_their_turn_or_their_intent_is_gone
            a_write_that_waits_blocks_no_guard_and_overlaps_nothing
            writes_to_one_tag_overlap_with_those_of_unknown_outcome
            a_deletion_by_digest_of_unknown_outcome_overlaps_what_moves_its_tags
            what_was_found_with_an_outcome_is_recorded_with_it_by_nobody
            puts_of_one_manifest_under_different_tags_do_not_overlap
            sequence_numbers_are_never_given_twice
            a_write_whose_caller_left_is_done_whole_or_not_at_all
            an_intent_whose_caller_left_is_removed
        }
        $crate::store::contract::contract_tests! { $open, hints;
            a_hint_is_kept_once_until_it_is_removed
            a_hint_that_was_given_again_is_not_removed
            a_hint_is_put_off_until_a_time_and_given_again_it_is_due_at_once
            there_is_room_for_so_many_hints_and_no_more
            pulls_add_up_and_the_last_one_never_moves_back
            a_look_at_a_tag_moves_when_it_was_last_seen_and_nothing_else
            a_pull_of_what_is_not_recorded_records_nothing
        }
        $crate::store::contract::contract_tests! { $open, images;
            what_an_image_says_is_kept_once_and_goes_with_its_manifest
            a_tag_knows_the_platform_of_its_image
            how_far_images_were_read_is_kept
        }
        $crate::store::contract::contract_tests! { $open, health;
            an_index_lacks_its_children_until_they_are_there
            a_referrer_whose_subject_is_gone_is_told
            what_nothing_leads_to_is_untagged
            a_tag_that_the_registry_denies_is_lost_until_it_is_there_or_gone
            a_repository_that_holds_nothing_is_empty
            flaws_are_listed_in_pages_and_go_with_their_repository
            any_changes_come_to_what_a_look_at_everything_finds
        }
        $crate::store::contract::contract_tests! { $open, numbers;
            what_happens_is_counted_on_its_day_with_how_much_there_was
            what_happens_on_a_day_is_counted_in_its_hours
            the_oldest_days_go_where_there_are_too_many
            the_largest_blobs_are_found_part_by_part
            what_a_repository_holds_is_listed_with_its_sizes_each_digest_once
        }
        $crate::store::contract::contract_tests! { $open, past;
            what_comes_back_has_its_past
            what_went_keeps_its_past_while_a_leap_of_the_clock_has_not_held
            only_the_same_manifest_under_the_same_tag_comes_back_with_its_past
            what_was_deleted_or_pushed_through_the_door_has_no_older_past
            what_the_registry_denies_stays_marked_until_it_is_there_or_gone
            what_was_observed_of_late_is_known_by_its_references
            removals_that_were_found_are_counted_since_a_time
            what_is_missing_is_accepted_by_number_and_what_is_lost_later_is_not
        }
        $crate::store::contract::contract_tests! { $open, sweeps;
            a_repository_that_holds_nothing_is_found_once
            names_of_tags_are_listed_and_unknown_ones_told
            what_is_kept_of_a_sweep_adds_up_until_it_is_forgotten
            a_sweep_is_asked_for_until_it_has_ended
            what_a_sweep_is_at_is_shown_until_it_ends_and_how_it_ended_from_then_on
        }
        $crate::store::contract::contract_tests! { $open, accounts;
            an_account_is_kept_until_it_is_changed_or_removed
            an_account_that_is_not_as_expected_is_left_alone
            changes_of_accounts_are_made_all_or_none
            events_of_the_gate_are_pushed_out_by_their_own_kind_alone
            what_happens_again_at_the_gate_takes_the_place_of_what_was_kept
            much_that_is_too_much_at_the_gate_goes_part_by_part_the_oldest_first
            accounts_are_listed_by_their_kind_in_bytewise_order
            what_is_known_of_the_registrys_clock_is_kept
            the_last_time_that_has_held_is_kept
            events_of_the_gate_are_kept_in_order_and_purged_by_number_and_age
        }
        $crate::store::contract::contract_tests! { $open, guards;
            a_guard_refuses_what_an_event_has_overtaken
            a_guard_refuses_while_somebody_is_writing
            a_guard_on_a_digest_minds_its_tags
            a_guard_minds_a_deletion_of_what_was_not_recorded
            a_vanished_repository_is_not_believed_when_anything_in_it_was_touched
        }
    };
    ($open:path, $file:ident; $($promise:ident)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let (store, _keep) = $open();
            $crate::store::contract::$file::$promise(store).await;
        })+
    };
}

pub(super) use contract_tests;
pub(super) use several_doors::several_doors_tests;

pub(in crate::store) type AnyStore = Arc<dyn Store>;

/// Carries a write that the registry does at once.
pub(super) async fn carry(
    store: &AnyStore,
    name: &str,
    write: Write,
    changes: Vec<Change>,
    now: u64,
) -> Settled {
    let intent = store.begin(repository(name), write, alice(), at(now)).await.unwrap();
    store.settle(&intent, Outcome::Applied(changes), at(now)).await.unwrap()
}

/// Carries a push.
pub(super) async fn push(
    store: &AnyStore,
    name: &str,
    manifest: &Manifest,
    tags: &[&str],
    now: u64,
) -> Settled {
    carry(store, name, putting(manifest, tags), vec![put(name, manifest, tags)], now).await
}

pub(super) async fn find(store: &AnyStore, change: Change, source: Source, now: u64) -> Recorded {
    let since = store.sequence().await.unwrap();
    let reference = Reference::Tag(tag("none"));
    store
        .record(vec![change], source, Guard { reference: Some(reference), since, lease: None }, at(now))
        .await
        .unwrap()
}

fn putting(manifest: &Manifest, tags: &[&str]) -> Write {
    Write::Put { digest: manifest.digest.clone(), tags: tags.iter().map(|name| tag(name)).collect() }
}

fn deleting(manifest: &Manifest) -> Write {
    Write::Delete { reference: digest_of(manifest) }
}

fn digest_of(manifest: &Manifest) -> Reference {
    Reference::Digest(manifest.digest.clone())
}

fn tag_of(name: &str) -> Reference {
    Reference::Tag(tag(name))
}

async fn history(store: &AnyStore) -> Vec<Event> {
    store.events(None, PageRequest { after: None, limit: 1_000 }).await.unwrap().items
}

/// Kind, tag and digest of the events behind the first `skip`.
async fn told(store: &AnyStore, skip: usize) -> Vec<(EventKind, Option<String>, Option<Digest>)> {
    let events = history(store).await;
    let short =
        |event: &Event| (event.kind, event.tag.as_ref().map(ToString::to_string), event.digest.clone());
    events.iter().skip(skip).map(short).collect()
}
