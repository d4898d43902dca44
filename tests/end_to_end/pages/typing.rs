//! What pages do better with a script: search as it is typed, the key that leads to it, and copying.

use thirtyfour::{By, Key};

use super::activity::click;
use super::browser::Browser;
use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;

/// The links that are shown while somebody types.
const SUGGESTED: &str = "document.getElementById('suggestions').hidden ? 'hidden' : \
    [...document.querySelectorAll('#suggestions a')].map(link => link.pathname + link.search).join(' ')";
const FOCUSED: &str = "document.activeElement.id";

async fn filled(registry: &Registry) -> Door {
    let door = Door::builder(registry.url()).start().await;
    for (number, repository) in ["team/app", "team/apple", "other"].into_iter().enumerate() {
        Image::small(number as u64).push(&door.url(), repository, "v1").await;
    }
    door
}

/// Presses keys where the keys go.
async fn press(browser: &Browser, keys: impl Into<thirtyfour::TypingData>) {
    browser.driver().active_element().await.unwrap().send_keys(keys).await.unwrap();
}

async fn shows(browser: &Browser, what: &str, expression: &str, expected: &str) {
    browser.until(what, &format!("({expression}) === {}", serde_json::json!(expected))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_leads_to_the_search_and_what_is_typed_is_looked_for_at_once() {
    let registry = Registry::start().await;
    let door = filled(&registry).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/ui/", door.url())).await;
    browser.evaluate("window.isTheSamePage = true").await;
    press(&browser, "/").await;
    shows(&browser, "the key leads to the field", FOCUSED, "search").await;
    shows(&browser, "the key itself is not typed", "document.activeElement.value", "").await;
    press(&browser, "t").await;
    press(&browser, "eam/app").await;
    let newest_first = "/ui/repository?name=team%2Fapple /ui/repository?name=team%2Fapp";
    let both = "/ui/repository?name=team%2Fapp /ui/repository?name=team%2Fapple";
    shows(&browser, "what fits is shown, the best first", SUGGESTED, both).await;
    press(&browser, "l").await;
    shows(&browser, "what fits no more goes", SUGGESTED, "/ui/repository?name=team%2Fapple").await;
    press(&browser, "x").await;
    let nothing = "document.querySelector('#suggestions h2')?.textContent";
    shows(&browser, "it says that nothing fits", nothing, "Nothing fits").await;
    press(&browser, Key::Backspace).await;
    shows(&browser, "it is looked for again", SUGGESTED, "/ui/repository?name=team%2Fapple").await;
    assert_eq!(
        browser.evaluate("return [window.isTheSamePage, location.pathname]").await,
        serde_json::json!([true, "/ui/"])
    );

    // With the arrows into what was found and back, and away.
    press(&browser, Key::Down).await;
    shows(&browser, "the arrow leads on", "document.activeElement.pathname", "/ui/repository").await;
    press(&browser, Key::Up).await;
    shows(&browser, "and back", FOCUSED, "search").await;
    press(&browser, Key::Escape).await;
    shows(&browser, "it goes away", SUGGESTED, "hidden").await;
    shows(&browser, "and leaves one in the field", FOCUSED, "search").await;
    // A letter alone is too little.
    press(&browser, Key::Control + "a").await;
    press(&browser, "team").await;
    shows(&browser, "it comes back", SUGGESTED, newest_first).await;
    for _ in 0..3 {
        press(&browser, Key::Backspace).await;
    }
    shows(&browser, "it goes away with what was typed", SUGGESTED, "hidden").await;
    press(&browser, "eam/app").await;
    shows(&browser, "it comes back", SUGGESTED, both).await;
    press(&browser, Key::Down).await;
    press(&browser, Key::Enter).await;
    shows(
        &browser,
        "one of them is chosen",
        "location.pathname + location.search",
        "/ui/repository?name=team%2Fapp",
    )
    .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_search_follows_what_is_typed_and_a_slash_elsewhere_is_a_slash() {
    let registry = Registry::start().await;
    let door = filled(&registry).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/ui/search?q=other", door.url())).await;
    let found = "[...document.querySelectorAll('#results a')].map(link => link.search).join(' ')";
    shows(&browser, "it is found", found, "?name=other").await;
    press(&browser, "/").await;
    shows(&browser, "the key leads to the field", FOCUSED, "search").await;
    // What stood there is chosen, and gives way.
    press(&browser, "apple").await;
    shows(&browser, "the list follows", found, "?name=team%2Fapple").await;
    shows(&browser, "and so does the address", "location.search", "?q=apple").await;
    shows(&browser, "nothing is shown twice", SUGGESTED, "hidden").await;

    browser.open(&format!("{}/ui/activity", door.url())).await;
    click(&browser, "#of-repository").await;
    press(&browser, "team/app").await;
    shows(&browser, "a slash is typed", "document.getElementById('of-repository').value", "team/app").await;
    shows(&browser, "where one writes", FOCUSED, "of-repository").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_copied_also_where_the_connection_is_not_safe() {
    let registry = Registry::start().await;
    let door = filled(&registry).await;
    let browser = Browser::start().await;
    let permissions = serde_json::json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
    browser.command("Browser.grantPermissions", permissions).await;
    for (is_safe, number) in [(true, 0), (false, 1)] {
        browser.open(&format!("{}/ui/repository?name=team/app", door.url())).await;
        browser
            .evaluate(&format!("Object.defineProperty(window, 'isSecureContext', {{ value: {is_safe} }})"))
            .await;
        let button = format!("document.querySelectorAll('button[data-copy]')[{number}]");
        let command = browser.evaluate(&format!("return {button}.dataset.copy")).await;
        let command = command.as_str().unwrap().to_owned();
        assert!(command.contains("pull") && command.contains("team/app:v1"), "{command}");
        let buttons = browser.driver().find_all(By::Css("button[data-copy]")).await.unwrap();
        buttons[number].click().await.unwrap();
        shows(&browser, "it says that it is copied", &format!("{button}.title"), "Copied").await;
        assert_eq!(browser.evaluate(&format!("return document.activeElement === {button}")).await, true);
        // As it arrives elsewhere.
        click(&browser, "#search").await;
        press(&browser, Key::Control + "v").await;
        shows(&browser, "it is there", "document.getElementById('search').value", &command).await;
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
