//! Recent events of the gate: an event that happens again is counted, and only so many are told apart. A caller who has not
//! logged in can cause any number of different events; each of them is counted, a few are told by name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::auth::network::Network;
use crate::auth::subject::UserName;
use crate::clock::Timestamp;
use crate::store::{AuthEvent, AuthEventKind, NameMask, Sequence};
use crate::telemetry::cut;

/// How long an event that happens again is the same one. Acts of the operator are events of their own.
const WINDOW: Duration = Duration::from_hours(1);
/// How often a count is written anew that has grown.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// The longest text of an event, in bytes.
pub(super) const LONGEST: usize = 1_000;
/// What an event is about that stands for further ones.
pub(super) const FURTHER: &str = "further ones, which are not told apart";

/// How many different things of a kind are told apart.
struct Limits {
    /// In an hour, of one source: a user, or the network of a caller who has not logged in.
    of_source: usize,
    /// In an hour.
    in_all: usize,
    /// At once.
    burst: u32,
    /// And then so many in a second.
    rate: u32,
}

/// A kind, of known users or of strangers: neither takes the room of the other.
type Share = (AuthEventKind, IsStrangers);
type IsStrangers = bool;

const fn limits((kind, is_strangers): Share) -> Limits {
    match kind {
        // Done by the operator.
        AuthEventKind::Account | AuthEventKind::Policy => {
            Limits { of_source: 10_000, in_all: 10_000, burst: 10_000, rate: 10_000 }
        }
        // By users. Who logs in from where are not many things; what tokens are for can be.
        AuthEventKind::Login | AuthEventKind::SignedOut => {
            Limits { of_source: 200, in_all: 5_000, burst: 5_000, rate: 50 }
        }
        AuthEventKind::Token => Limits { of_source: 500, in_all: 5_000, burst: 2_000, rate: 10 },
        AuthEventKind::LoginFailed | AuthEventKind::Refused if !is_strangers => {
            Limits { of_source: 20, in_all: 1_000, burst: 200, rate: 1 }
        }
        // What is kept of them lasts for a day of a flood.
        AuthEventKind::LoginFailed | AuthEventKind::Refused => {
            Limits { of_source: 20, in_all: 500, burst: 200, rate: 1 }
        }
    }
}

/// What makes two things the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    kind: AuthEventKind,
    /// The user, or what stands for a name that no user is known to have.
    user: Option<String>,
    network: Option<Network>,
    about: String,
}

/// Who makes things happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SourceOf {
    User(String),
    Network(Option<Network>),
}

/// Something that has happened, and may happen again.
struct Open {
    /// As whom it is shown.
    user: Option<String>,
    /// A name that is still to be looked up. Not kept longer: it may be a password.
    claimed: Option<UserName>,
    address: Option<IpAddr>,
    first: Timestamp,
    last: Timestamp,
    count: u64,
    opened: Instant,
    /// In whose room it is.
    share: Share,
    /// Whose limit it counts for; none for what stands for further ones.
    source: Option<SourceOf>,
    /// Under which number it was written, with which count, and when.
    written: Option<(Sequence, u64, Instant)>,
}

/// Something that is to be written down.
pub(super) struct Due {
    key: Key,
    /// Where it is written already.
    pub number: Option<Sequence>,
    /// What is to be written.
    pub event: AuthEvent,
    /// A name that a user may have; if so, the event is to show it.
    pub claimed: Option<UserName>,
}

/// Something that happens.
pub(super) struct Happening<'a> {
    pub kind: AuthEventKind,
    /// Who, if that is proven.
    pub user: Option<&'a str>,
    /// Who they say they are.
    pub claimed: Option<&'a UserName>,
    pub address: Option<IpAddr>,
    pub about: &'a str,
    pub time: Timestamp,
    pub now: Instant,
}

/// What has happened of late.
#[derive(Default)]
pub(super) struct Gathering {
    mask: NameMask,
    open: HashMap<Key, Open>,
    /// How many are told apart now.
    of_share: HashMap<Share, usize>,
    /// How many of a kind and source.
    of_source: HashMap<(AuthEventKind, SourceOf), usize>,
    /// How many may still be told apart at once, and since when that is so.
    bursts: HashMap<Share, (f64, Instant)>,
}

impl Gathering {
    /// Something happens. Whether it is told apart from others; it is counted in any case.
    pub(super) fn note(&mut self, happening: &Happening<'_>) -> bool {
        let &Happening { kind, user, claimed, address, about, .. } = happening;
        let network = address.map(Network::of);
        let short = |text: &str| cut(text, LONGEST).to_owned();
        let shown = user.map(short).or_else(|| claimed.map(|name| self.mask.mask(name.as_str())));
        let key = Key { kind, user: shown, network, about: short(about) };
        if self.count(&key, happening) {
            return true;
        }
        let share = (kind, user.is_none());
        let source = user.map_or(SourceOf::Network(network), |user| SourceOf::User(short(user)));
        if self.has_room(share, &source, happening.now) {
            let shown = key.user.clone();
            self.begin(key, shown, share, Some(source), happening);
            return true;
        }
        // What is too much of one source is counted with that; and what is too much in all, with its kind.
        let (user, network) = match source {
            SourceOf::User(user) => (Some(user), None),
            SourceOf::Network(network) => (None, network),
        };
        let of_source = Key { kind, user: user.clone(), network, about: FURTHER.to_owned() };
        if self.count(&of_source, happening) {
            return false;
        }
        if self.takes_place(share, happening.now) {
            self.begin(of_source, user, share, None, happening);
            return false;
        }
        let of_all = Key { kind, user: None, network: None, about: FURTHER.to_owned() };
        if !self.count(&of_all, happening) {
            self.begin(of_all, None, share, None, happening);
        }
        false
    }

    /// Counts what has happened before.
    fn count(&mut self, key: &Key, happening: &Happening<'_>) -> bool {
        let Some(open) = self.open.get_mut(key) else { return false };
        open.count = open.count.saturating_add(1);
        open.last = happening.time;
        if key.network.is_some() {
            open.address = happening.address;
        }
        true
    }

    fn begin(
        &mut self,
        key: Key,
        user: Option<String>,
        share: Share,
        source: Option<SourceOf>,
        happening: &Happening<'_>,
    ) {
        *self.of_share.entry(share).or_default() += 1;
        if let Some(source) = &source {
            *self.of_source.entry((key.kind, source.clone())).or_default() += 1;
        }
        let open = Open {
            user,
            claimed: happening.claimed.filter(|_| source.is_some()).cloned(),
            address: happening.address.filter(|_| key.network.is_some()),
            first: happening.time,
            last: happening.time,
            count: 1,
            opened: happening.now,
            share,
            source,
            written: None,
        };
        self.open.insert(key, open);
    }

    fn has_room(&mut self, share: Share, source: &SourceOf, now: Instant) -> bool {
        let of_source = self.of_source.get(&(share.0, source.clone())).copied().unwrap_or_default();
        of_source < limits(share).of_source && self.takes_place(share, now)
    }

    /// Whether one more may be told apart; that is one fewer then.
    fn takes_place(&mut self, share: Share, now: Instant) -> bool {
        let Limits { in_all, burst, rate, .. } = limits(share);
        if self.of_share.get(&share).copied().unwrap_or_default() >= in_all {
            return false;
        }
        let (left, since) = self.bursts.entry(share).or_insert((f64::from(burst), now));
        let come = now.saturating_duration_since(*since).as_secs_f64() * f64::from(rate);
        *left = (*left + come).min(f64::from(burst));
        *since = now;
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }

    /// What is to be written down now, the oldest first: what is new, and what has grown since it was written some time ago, or
    /// at all, at the `end`. What is over is forgotten.
    pub(super) fn due(&mut self, now: Instant, end: bool) -> Vec<Due> {
        self.forget(now);
        let is_due = |open: &Open| match open.written {
            None => true,
            Some((_, count, at)) => {
                count != open.count && (end || now.saturating_duration_since(at) >= COUNT_EVERY)
            }
        };
        let due = self.open.iter().filter(|(_, open)| is_due(open)).map(|(key, open)| Due {
            key: key.clone(),
            number: open.written.map(|(number, _, _)| number),
            claimed: open.claimed.clone(),
            event: AuthEvent {
                time: open.last,
                first: (open.first != open.last).then_some(open.first),
                kind: key.kind,
                user: open.user.clone(),
                address: open.address,
                about: key.about.clone(),
                count: open.count,
            },
        });
        let mut due: Vec<Due> = due.collect();
        due.sort_by_key(|due| due.event.first.unwrap_or(due.event.time));
        due
    }

    /// These were written down, under these numbers.
    pub(super) fn written(&mut self, due: Vec<Due>, numbers: &[Sequence], now: Instant) {
        for (Due { key, event, .. }, number) in due.into_iter().zip(numbers) {
            let Some(open) = self.open.get_mut(&key) else { continue };
            open.written = Some((*number, event.count, now));
            open.user = event.user;
            open.claimed = None;
        }
        self.forget(now);
    }

    /// Forgets what is over and written down: when it happens again, it is another event.
    fn forget(&mut self, now: Instant) {
        let Self { open, of_share, of_source, .. } = self;
        open.retain(|key, open| {
            let window = match key.kind {
                AuthEventKind::Account | AuthEventKind::Policy => Duration::ZERO,
                AuthEventKind::Token
                | AuthEventKind::Login
                | AuthEventKind::SignedOut
                | AuthEventKind::LoginFailed
                | AuthEventKind::Refused => WINDOW,
            };
            let is_written = open.written.is_some_and(|(_, count, _)| count == open.count);
            let goes = is_written && now.saturating_duration_since(open.opened) >= window;
            if goes {
                less(of_share, &open.share);
                if let Some(source) = &open.source {
                    less(of_source, &(key.kind, source.clone()));
                }
            }
            !goes
        });
    }
}

/// Counts one less, and forgets what there is none of.
fn less<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, of: &K) {
    if let Some(count) = counts.get_mut(of) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(of);
        }
    }
}

#[cfg(test)]
mod tests;
