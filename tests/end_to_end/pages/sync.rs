//! The registry has lost its storage: what that would remove is held, shown, and accepted on the page.

use super::activity::{click, sign_in};
use super::browser::Browser;
use super::look::{Scheme, Screen};
use crate::support::door::Door;
use crate::support::guard::Guard;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::sweep::{sweep, sweep_through};

/// More than are believed to go at once.
const TAGS: usize = 70;

/// A door that holds most of what its registry has lost.
async fn holding(registry: &Registry) -> Door {
    let door = Door::builder(registry.url()).set("PAGES__OPEN_WRITES", "true").start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v0").await;
    for number in 1..TAGS {
        let tagged = image.put(&door.url(), "team/app", &format!("v{number}")).await;
        assert_eq!(tagged.status(), 201);
    }
    registry.lose_storage();
    let held = sweep(&door, false).await;
    assert!(held["held"]["tags"].as_u64().unwrap() > 0, "{held:#}");
    door
}

async fn accept(browser: &Browser, door: &Door) {
    let url = format!("{}/ui/sync", door.url());
    browser.open(&url).await;
    browser.until("what is held is shown", "document.getElementById('held') !== null").await;
    let repositories =
        "[...document.querySelectorAll('[aria-labelledby=held] a')].map(link => link.textContent)";
    assert_eq!(browser.evaluate(&format!("return {repositories}.includes('team/app')")).await, true);
    click(browser, "#now details summary").await;
    click(browser, "#now details .danger").await;
    browser.until("it says that it is accepted", "document.body.innerText.includes('is accepted')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_removals_are_accepted_on_the_page_which_follows_the_sweep_that_removes_them() {
    let registry = Registry::start().await;
    let door = holding(&registry).await;
    let browser = Browser::start().await;
    let mut wrong = Vec::new();
    for screen in Screen::ALL {
        for scheme in Scheme::ALL {
            browser.look(screen, scheme).await;
            browser.open(&format!("{}/ui/sync", door.url())).await;
            browser.evaluate("document.querySelector('#now details').open = true").await;
            browser.screenshot(&format!("sync-held-{}-{}", screen.width(), scheme.name())).await;
            wrong.extend(browser.sideways().await);
            wrong.extend(browser.axe().await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.look(Screen::Desk, Scheme::Light).await;
    accept(&browser, &door).await;
    let over = "document.body.innerText.includes('has ended') && document.getElementById('held') === null";
    browser.until("the page says that it is over, without a reload", over).await;
    let status = door.get_json("/api/v1/status").await;
    assert_eq!(status["store"]["missing"]["tags"], 0, "{status:#}");
    assert_eq!(door.get_json("/api/v1/repositories").await["items"], serde_json::json!([]));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn held_removals_are_accepted_and_sweeps_started_without_a_script() {
    let registry = Registry::start().await;
    let door = holding(&registry).await;
    let browser = Browser::start().await;
    browser.run_scripts(false).await;
    accept(&browser, &door).await;
    sweep_through(&door, false).await;
    assert_eq!(door.get_json("/api/v1/status").await["store"]["missing"]["tags"], 0);
    browser.open(&format!("{}/ui/sync", door.url())).await;
    click(&browser, "form[action='/ui/sync/start'] button[value=deep]").await;
    browser
        .until("it says which sweep", "/^Sweep \\d+ /.test(document.querySelector('#now .notice').innerText)")
        .await;
    let number = browser.evaluate("return Number(new URL(location.href).searchParams.get('sweep'))").await;
    let ended = crate::support::sweep::finished(&door, number.as_u64().unwrap()).await;
    assert_eq!(ended["kind"], "deep", "{ended:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_has_signed_in_begins_a_sweep_and_sees_it_end() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard.door(registry.url()).start().await;
    Image::small(1).push(&registry.url(), "team/around", "v1").await;
    let browser = Browser::start().await;
    sign_in(&browser, &door, "admin", "/ui/sync").await;
    click(&browser, "form[action='/ui/sync/start'] button[value=shallow]").await;
    browser
        .until("the sweep ends", "/has ended/.test(document.querySelector('#now .notice').innerText)")
        .await;
    browser
        .until("its end is among the last sweeps", "document.querySelectorAll('#sweeps').length === 1")
        .await;
    let outcome = "[...document.querySelectorAll('.badge')].some(badge => badge.textContent === 'complete')";
    browser.until("with how it ended", outcome).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
