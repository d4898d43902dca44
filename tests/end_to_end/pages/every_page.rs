//! What holds on every page.

use std::time::Duration;

use super::browser::Browser;
use super::hostile::{ASKED, Hostile, REPOSITORY};
use super::look::{Scheme, Screen};
use super::sample::Sample;

/// The most bytes of a page with all that it is made of, as they are sent.
const HEAVIEST: u64 = 100_000;

/// A page: what its pictures are called, and where it is.
struct Page {
    name: &'static str,
    path: String,
    /// Whether it is there for certain; others may say that they are not.
    is_there: bool,
}

/// All pages, about this repository.
fn pages(repository: &str) -> Vec<Page> {
    let namespace = repository.split('/').next().unwrap();
    let page = |name: &'static str, path: String| Page { name, path, is_there: true };
    vec![
        page("home", "/".to_owned()),
        page("repositories", "/ui/repositories".to_owned()),
        page("repositories-filtered", format!("/ui/repositories?q={namespace}")),
        page("search", format!("/ui/search?q={namespace}")),
        page("search-nothing", "/ui/search?q=nothing-has-this-name".to_owned()),
        Page { name: "not-there", path: "/ui/nothing".to_owned(), is_there: false },
    ]
}

/// What the browser complains about, except that a page that is not there says so.
async fn complaints(browser: &Browser, page: &Page, url: &str) -> Vec<String> {
    let mut complaints = browser.complaints().await;
    let expected =
        format!("network: {url} - Failed to load resource: the server responded with a status of 4");
    complaints.retain(|complaint| page.is_there || !complaint.starts_with(&expected));
    complaints
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_complains_scrolls_sideways_or_hinders_anybody_on_any_screen_in_any_colours() {
    let sample = Sample::fill().await;
    let door = sample.open_door().await;
    let browser = Browser::start().await;
    let mut found = Vec::new();
    for page in pages("web/storefront") {
        let url = format!("{}{}", door.url(), page.path);
        let mut painted = Duration::MAX;
        for screen in Screen::ALL {
            for scheme in Scheme::ALL {
                browser.look(screen, scheme).await;
                browser.open(&url).await;
                let picture = format!("{}-{}-{}", page.name, screen.width(), scheme.name());
                browser.screenshot(&picture).await;
                let mut wrong = complaints(&browser, &page, &url).await;
                wrong.extend(browser.sideways().await);
                wrong.extend(browser.axe().await);
                painted = painted.min(browser.first_contentful_paint().await);
                found.extend(wrong.into_iter().map(|wrong| format!("{picture}: {wrong}")));
            }
        }
        let bytes = browser.bytes().await;
        if bytes > HEAVIEST {
            found.push(format!("{}: it is made of {bytes} bytes, and not of {HEAVIEST} at most", page.name));
        }
        eprintln!("{}: {bytes} bytes, painted within {painted:?} at best", page.path);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_anybodys_runs_or_becomes_markup_on_any_page() {
    let hostile = Hostile::fill().await;
    let door = hostile.open_door().await;
    let browser = Browser::start().await;
    let mut pages = pages(REPOSITORY);
    // What is asked for is shown again. One text for each way out of where it is.
    for text in ASKED {
        let query = url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        for path in ["/ui/search?q=", "/ui/repositories?q=", "/ui/repositories?sort=", "/ui/"] {
            let query = if path.ends_with('/') { query.replace('+', "%20") } else { query.clone() };
            pages.push(Page { name: "asked", path: format!("{path}{query}"), is_there: false });
        }
    }
    let (mut found, mut shown) = (Vec::new(), 0);
    for page in pages {
        let url = format!("{}{}", door.url(), page.path);
        browser.look(Screen::Phone, Scheme::Light).await;
        browser.open(&url).await;
        let mut wrong = complaints(&browser, &page, &url).await;
        wrong.extend(browser.markup_of_texts().await);
        wrong.extend(browser.sideways().await);
        found.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", page.path)));
        shown += usize::from(
            browser.evaluate("return document.documentElement.outerHTML.includes('hostile')").await == true,
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(shown > 2 * ASKED.len(), "few of the texts are shown at all: {shown}");
}
