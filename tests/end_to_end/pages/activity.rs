//! What happens appears as it happens.

use thirtyfour::By;

use super::browser::{Browser, SOON};
use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::image::Image;
use crate::support::metrics::metrics;
use crate::support::registry::Registry;
use crate::support::tool::Tool;
use crate::support::wait::until_seen;

/// Pushes by skopeo.
async fn push(door: &Door, skopeo: &Tool, target: &str) {
    push_with(door, skopeo, &[], target).await;
}

async fn push_as(user: &str, door: &Door, skopeo: &Tool, target: &str) {
    let credentials = format!("{user}:{}", password(user));
    push_with(door, skopeo, &["--dest-creds", &credentials], target).await;
}

async fn push_with(door: &Door, skopeo: &Tool, options: &[&str], target: &str) {
    let target = format!("docker://{}/{target}", door.address());
    let copy = ["copy", "--dest-tls-verify=false"];
    skopeo.run(&[&copy[..], options, &["oci:layout:both", &target]].concat()).await;
}

fn skopeo() -> Tool {
    let skopeo = Tool::new("skopeo", "skopeo");
    let image = Image::small(1);
    crate::clients::write_layout(&skopeo.home().join("layout"), &image, std::slice::from_ref(&image));
    skopeo
}

/// Clicks on the first element that a selector finds, as a user does.
pub(super) async fn click(browser: &Browser, selector: &str) {
    let found = browser.driver().find(By::Css(selector)).await;
    let element = found.unwrap_or_else(|error| panic!("{selector}: {error}"));
    element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
}

/// Signs in, on the way to a page.
pub(super) async fn sign_in(browser: &Browser, door: &Door, user: &str, page: &str) {
    browser.open(&format!("{}/ui/sign-in?next={page}", door.url())).await;
    for (field, text) in [("name", user.to_owned()), ("password", password(user))] {
        browser.driver().find(By::Id(field)).await.unwrap().send_keys(text).await.unwrap();
    }
    click(browser, "form button.primary").await;
    browser.until("it leads to the page that was wanted", &format!("location.pathname === '{page}'")).await;
    // What the browser looks for on the way there is no matter of that page.
    browser.complaints().await;
}

const STATE: &str = "document.querySelector('.live-state').textContent";

fn row(tag: &str) -> String {
    format!("[...document.querySelectorAll('#events .event .tag')].some(tag => tag.textContent === '{tag}')")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_appears_without_a_reload_and_what_was_missed_appears_when_the_page_goes_on() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let (browser, skopeo) = (Browser::start().await, skopeo());
    push(&door, &skopeo, "team/app:before").await;
    browser.open(&format!("{}/ui/activity", door.url())).await;
    browser.until("what was there before is shown", &row("before")).await;
    browser.until("it follows", &format!("{STATE} === 'Live'")).await;
    browser.evaluate("window.isTheSamePage = true").await;

    push(&door, &skopeo, "team/app:pushed").await;
    browser.until("a push appears", &row("pushed")).await;
    // So it does among the numbers of the day, unless that has just begun.
    let numbers = "document.getElementById('pushes-by-hour-words').textContent";
    browser
        .until(
            "it is counted",
            &format!("/^[12] today; the most in an hour are [12], from /.test({numbers})"),
        )
        .await;
    let first = "document.querySelector('#events .event .tag').textContent";
    assert_eq!(browser.evaluate(&format!("return {first}")).await, "pushed", "on top");

    // A pause keeps it from moving; to go on shows what came meanwhile.
    let button = "document.querySelector('#live button')";
    browser.evaluate(&format!("{button}.click()")).await;
    browser.until("it pauses", &format!("{STATE} === 'Paused' && {button}.textContent === 'Resume'")).await;
    // Nothing is left that could tell it what happens.
    let none = |metrics: &String| metrics.lines().any(|line| line == "portreeve_event_streams 0");
    until_seen("its stream is over", SOON, async || metrics(&door).await, none).await;
    let looks = "return performance.getEntriesByType('resource').length";
    let before = browser.evaluate(looks).await;
    push(&door, &skopeo, "team/app:meanwhile").await;
    assert_eq!(browser.evaluate(&format!("return {}", row("meanwhile"))).await, false);
    assert_eq!(browser.evaluate(looks).await, before, "it has asked for nothing");
    browser.evaluate(&format!("{button}.click()")).await;
    browser.until("what came meanwhile appears", &row("meanwhile")).await;
    browser.until("it follows again", &format!("{STATE} === 'Live'")).await;

    // So does the end of a connection, which is said.
    door.kill().await;
    browser.until("the loss is said", &format!("{STATE}.startsWith('Connection lost')")).await;
    door.restart().await;
    browser.until("it follows a door that has started again", &format!("{STATE} === 'Live'")).await;
    push(&door, &skopeo, "team/app:again").await;
    browser.until("a push appears again", &row("again")).await;
    assert_eq!(browser.evaluate("return window.isTheSamePage").await, true, "it was never loaded anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_the_filter_do_not_appear_and_days_are_not_doubled() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (browser, skopeo) = (Browser::start().await, skopeo());
    browser.open(&format!("{}/ui/activity?repository=team/app&kind=manifest_put", door.url())).await;
    browser.until("it follows", &format!("{STATE} === 'Live'")).await;
    push(&door, &skopeo, "team/other:other").await;
    push(&door, &skopeo, "team/app:one").await;
    browser.until("the first appears", &row("one")).await;
    push(&door, &skopeo, "team/app:two").await;
    browser.until("the second appears", &row("two")).await;
    assert_eq!(browser.evaluate(&format!("return {}", row("other"))).await, false);
    let counts =
        "return [document.querySelectorAll('[data-day]').length, document.querySelectorAll('.event').length]";
    let counts = browser.evaluate(counts).await;
    // Two, if midnight is between.
    assert!(counts[0].as_u64().unwrap() <= 2 && counts[1] == 2, "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script_the_page_is_whole_and_is_reloaded_by_a_link() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (browser, skopeo) = (Browser::start().await, skopeo());
    browser.run_scripts(false).await;
    browser.open(&format!("{}/ui/activity", door.url())).await;
    browser
        .until("it says that nothing happened", "document.body.innerText.includes('Nothing happened yet')")
        .await;
    push(&door, &skopeo, "team/app:pushed").await;
    click(&browser, "#live a").await;
    browser.until("a push is shown", &row("pushed")).await;
    assert_eq!(browser.evaluate("return document.querySelector('#live button').hidden").await, true);
    // The filter is a form.
    browser.evaluate("document.getElementById('of-tag').value = 'none-has-this'").await;
    click(&browser, ".filters button").await;
    browser.until("nothing fits", "document.body.innerText.includes('Nothing fits')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_signed_in_follows_what_they_may_pull_and_reads_who_did_it() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard.door(registry.url()).start().await;
    let (browser, skopeo) = (Browser::start().await, skopeo());
    // Whoever is not known sees what is public, and follows nothing.
    browser.open(&format!("{}/ui/activity", door.url())).await;
    browser.until("it is shown", "document.body.innerText.includes('Nothing happened yet')").await;
    assert_eq!(
        browser.evaluate("return document.querySelector('.live-state')").await,
        serde_json::Value::Null
    );
    sign_in(&browser, &door, "alice", "/ui/activity").await;
    browser.until("it follows", &format!("{STATE} === 'Live'")).await;
    push_as("admin", &door, &skopeo, "private/app:secret").await;
    push_as("admin", &door, &skopeo, "team/app:seen").await;
    browser.until("a push appears", &row("seen")).await;
    let users = "return [...document.querySelectorAll('.event-user')].map(user => user.textContent)";
    assert_eq!(browser.evaluate(users).await, serde_json::json!(["admin"]));
    let shown = browser.shown().await;
    assert!(!shown.contains("private/app") && !shown.contains("Pushes"), "{shown}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
