//! What holds on every page: on those of a table, and on each other one that a link leads to.

use std::collections::HashSet;
use std::time::Duration;

use url::Url;

use super::access::sign_in;
use super::browser::Browser;
use super::gate;
use super::hostile::{ASKED, Hostile, REPOSITORY};
use super::look::{Scheme, Screen};
use super::sample::Sample;
use crate::support::door::Door;
use crate::support::registry::Registry;

/// The most bytes of a page with all that it is made of, as they are sent.
const HEAVIEST: u64 = 100_000;
/// More pages than there are, so that the test ends.
const MOST: usize = 100;

/// Parameters that order and divide lists.
const OF_LISTS: [&str; 4] = ["after", "n", "order", "sort"];

/// What a page shows, as far as it can be counted.
const PARTS: &str = "return document.querySelectorAll('h1, h2, h3, tr, li, dt').length";

/// How a page answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It is there.
    Shown,
    /// It is not there.
    Refused,
    /// It is there or says what is wrong with the question.
    Either,
}

/// A page: what its pictures are called, where it is, and how it answers.
struct Page {
    name: String,
    path: String,
    answer: Answer,
}

impl Page {
    fn new(name: &str, path: impl Into<String>, answer: Answer) -> Self {
        Self { name: name.to_owned(), path: path.into(), answer }
    }

    /// The page that a link leads to, called by its path and the names of its parameters, which are all that tells pages apart.
    fn linked(url: &Url) -> Self {
        let parameters = url.query_pairs().map(|(name, _)| name.into_owned());
        let parameters = parameters.filter(|name| !OF_LISTS.contains(&name.as_str()));
        let segments =
            url.path().split('/').filter(|segment| !["", "ui"].contains(segment)).map(str::to_owned);
        let name: Vec<String> = segments.chain(parameters).collect();
        let path = url.as_str().strip_prefix(&url.origin().ascii_serialization()).unwrap();
        Self::new(&name.join("-"), path, Answer::Shown)
    }

    /// What is wrong with what the browser shows, as far as it can tell by itself.
    async fn complaints(&self, browser: &Browser, url: &str) -> Vec<String> {
        let mut complaints = browser.complaints().await;
        // That it is not there is no defect of one that should not be.
        let refusal =
            format!("network: {url} - Failed to load resource: the server responded with a status of 4");
        complaints.retain(|complaint| self.answer == Answer::Shown || !complaint.starts_with(&refusal));
        let status = "return performance.getEntriesByType('navigation')[0].responseStatus";
        let status = browser.evaluate(status).await.as_u64().unwrap();
        let expected = match self.answer {
            Answer::Shown => status == 200,
            Answer::Refused => status == 404,
            Answer::Either => status == 200 || (400..500).contains(&status),
        };
        if !expected {
            complaints.push(format!("it answers with {status}"));
        }
        complaints
    }
}

/// The pages to begin with, about what has this in its name.
fn pages(part: &str) -> Vec<Page> {
    let shown = |name: &str, path: &str| Page::new(name, path, Answer::Shown);
    vec![
        shown("home", "/"),
        shown("repositories", "/ui/repositories"),
        shown("namespaces", "/ui/namespaces?sort=size"),
        shown("repositories-filtered", &format!("/ui/repositories?q={part}")),
        shown("search", &format!("/ui/search?q={part}")),
        shown("search-nothing", "/ui/search?q=nothing-has-this-name"),
        shown("search-anything", "/ui/search"),
        Page::new("not-there", "/ui/nothing", Answer::Refused),
    ]
}

/// Pages of one repository: by their names, with their parameters.
const OF_THE_SAMPLE: [(&str, &str); 9] = [
    ("repository", "/ui/repository?name=web/storefront"),
    ("manifest-index", "/ui/manifest?repository=web/storefront&tag=latest"),
    ("manifest-image", "/ui/manifest?repository=web/checkout&tag=latest"),
    ("manifest-chart", "/ui/manifest?repository=charts/storefront&tag=0.9.1"),
    ("manifest-deleted", "/ui/manifest?repository=web/storefront&tag=1.0"),
    ("compare", "/ui/compare?repository=web/checkout&from=1.1.0&to=latest"),
    ("delete", "/ui/delete?repository=web/storefront&tag=latest"),
    ("delete-tags", "/ui/delete?repository=web/storefront&what=tags&tag=latest&tag=1.4&tag=1.4.0"),
    ("flaws-untagged", "/ui/flaws?kind=untagged"),
];
const OF_THE_HOSTILE: [(&str, &str); 6] = [
    ("repository", "/ui/repository?name=hostile/box"),
    ("manifest-index", "/ui/manifest?repository=hostile/box&tag=index"),
    ("manifest-image", "/ui/manifest?repository=hostile/box&tag=constructor"),
    ("manifest-file", "/ui/manifest?repository=hostile/box&tag=file-3"),
    ("compare", "/ui/compare?repository=hostile/box&from=file-1&to=constructor"),
    ("delete", "/ui/delete?repository=hostile/box&tag=constructor"),
];

fn of_one(pages: &'static [(&'static str, &'static str)]) -> impl Iterator<Item = Page> {
    pages.iter().map(|(name, path)| Page::new(name, *path, Answer::Shown))
}

/// Goes through pages, and through those that they lead to.
struct Walk {
    base: Url,
    ahead: Vec<Page>,
    names: HashSet<String>,
}

impl Walk {
    fn new(door: &Door, pages: Vec<Page>) -> Self {
        let base = Url::parse(&door.url()).unwrap();
        let names = pages.iter().map(|page| Page::linked(&base.join(&page.path).unwrap()).name).collect();
        Self { base, ahead: pages.into_iter().rev().collect(), names }
    }

    fn next(&mut self) -> Option<(Page, String)> {
        let page = self.ahead.pop()?;
        let url = self.base.join(&page.path).unwrap();
        Some((page, url.into()))
    }

    /// Takes up the links of the page that is shown.
    async fn take_links(&mut self, browser: &Browser) {
        let links = browser.evaluate("return [...document.links].map(link => link.href)").await;
        for link in links.as_array().unwrap() {
            // Links that lead nowhere are found elsewhere.
            let Ok(mut url) = Url::parse(link.as_str().unwrap()) else { continue };
            url.set_fragment(None);
            if url.origin() == self.base.origin() && url.path().starts_with("/ui") {
                let page = Page::linked(&url);
                if self.names.insert(page.name.clone()) {
                    self.ahead.push(page);
                }
            }
        }
        assert!(self.names.len() < MOST, "so many pages: {:?}", self.names);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_complains_scrolls_sideways_or_hinders_anybody_on_any_screen_in_any_colours() {
    let sample = Sample::fill().await;
    let door = sample.open_door().await;
    let browser = Browser::start().await;
    let all = pages("web").into_iter().chain(of_one(&OF_THE_SAMPLE)).collect();
    let found = walked(&browser, Walk::new(&door, all), "").await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_an_empty_record_complains_scrolls_sideways_or_hinders_anybody() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let browser = Browser::start().await;
    let home = Page::new("home", "/ui/", Answer::Shown);
    // The door lets everybody in.
    let sign_in = Page::new("sign-in", "/ui/sign-in", Answer::Refused);
    let found = walked(&browser, Walk::new(&door, vec![home, sign_in]), "empty-").await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_complains_scrolls_sideways_or_hinders_who_has_signed_in() {
    let sample = Sample::fill().await;
    let door = sample.guarded_door().await;
    let browser = Browser::start().await;
    let form = [("home", "/ui/"), ("sign-in", "/ui/sign-in?next=/ui/access")];
    let form = form.map(|(name, path)| Page::new(name, path, Answer::Shown)).into();
    let mut found = walked(&browser, Walk::new(&door, form), "nobody-").await;
    gate::fill(&door).await;
    for (user, about) in [("admin", "/ui/access/rules?user=ben&repository=web/shop"), ("ben", "/ui/access")] {
        sign_in(&browser, &door, user).await;
        let mut pages = pages("web");
        pages.push(Page::new("access-first", about, Answer::Shown));
        if user == "ben" {
            pages.push(Page::new("forbidden", "/ui/sync", Answer::Either));
        }
        if user == "admin" {
            pages.push(Page::new("access-user-disabled", "/ui/access/user?name=frank", Answer::Shown));
            pages.push(Page::new("access-user-tokens", "/ui/access/user?name=ben", Answer::Shown));
        }
        found.extend(walked(&browser, Walk::new(&door, pages), &format!("{user}-")).await);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What is wrong with the pages of a walk, whose pictures have names that begin with this.
async fn walked(browser: &Browser, mut walk: Walk, who: &str) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((page, url)) = walk.next() {
        let mut painted = Duration::MAX;
        for screen in Screen::ALL {
            for scheme in Scheme::ALL {
                browser.look(screen, scheme).await;
                browser.open(&url).await;
                let picture = format!("{who}{}-{}-{}", page.name, screen.width(), scheme.name());
                browser.screenshot(&picture).await;
                let mut wrong = page.complaints(browser, &url).await;
                wrong.extend(browser.sideways().await);
                wrong.extend(browser.axe().await);
                painted = painted.min(browser.first_contentful_paint().await);
                found.extend(wrong.into_iter().map(|wrong| format!("{picture}: {wrong}")));
            }
        }
        walk.take_links(browser).await;
        let bytes = browser.bytes().await;
        eprintln!("{}: {bytes} bytes, painted within {painted:?} at best", page.path);
        if bytes > HEAVIEST {
            found.push(format!("{}: it is made of {bytes} bytes, and not of {HEAVIEST} at most", page.name));
        }
        let parts = browser.evaluate(PARTS).await;
        browser.run_scripts(false).await;
        browser.open(&url).await;
        let mut wrong = page.complaints(browser, &url).await;
        wrong.extend(browser.sideways().await);
        let without = browser.evaluate(PARTS).await;
        if without != parts {
            wrong.push(format!("it shows {without} headings, rows and items of {parts}"));
        }
        found.extend(wrong.into_iter().map(|wrong| format!("{} without scripts: {wrong}", page.name)));
        browser.run_scripts(true).await;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_anybodys_runs_or_becomes_markup_on_any_page() {
    let hostile = Hostile::fill().await;
    let mut door = hostile.open_door().await;
    let browser = Browser::start().await;
    browser.look(Screen::Phone, Scheme::Light).await;
    let mut pages = pages(REPOSITORY);
    pages.extend(of_one(&OF_THE_HOSTILE));
    // What is asked for is shown again. One text for each way out of where it is.
    for text in ASKED {
        let query: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for path in ["/ui/search?q=", "/ui/repositories?q=", "/ui/repositories?sort=", "/ui/"] {
            let query = if path.ends_with('/') { query.replace('+', "%20") } else { query.clone() };
            pages.push(Page::new("asked", format!("{path}{query}"), Answer::Either));
        }
    }
    let (mut found, mut shown) = (Vec::new(), 0);
    let mut walk = Walk::new(&door, pages);
    while let Some((page, url)) = walk.next() {
        browser.open(&url).await;
        walk.take_links(&browser).await;
        let mut wrong = page.complaints(&browser, &url).await;
        wrong.extend(browser.markup_of_texts().await);
        wrong.extend(browser.sideways().await);
        found.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", page.path)));
        let shows = "return document.documentElement.outerHTML.includes('hostileRan')";
        shown += usize::from(browser.evaluate(shows).await == true);
    }
    // The same, and what is for who has signed in alone.
    door.kill().await;
    let (door, administrator) = hostile.guarded_door().await;
    sign_in(&browser, &door, administrator).await;
    let about = "/ui/access/rules?user=%3Cscript%20data-hostile%3EhostileRan('who')%3C/script%3E";
    let mut walk = Walk::new(
        &door,
        vec![Page::new("home", "/", Answer::Shown), Page::new("rules", about, Answer::Either)],
    );
    while let Some((page, url)) = walk.next() {
        browser.open(&url).await;
        walk.take_links(&browser).await;
        let mut wrong = page.complaints(&browser, &url).await;
        wrong.extend(browser.markup_of_texts().await);
        wrong.extend(browser.sideways().await);
        found.extend(wrong.into_iter().map(|wrong| format!("{}, signed in: {wrong}", page.path)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(shown > 2 * ASKED.len(), "few of the texts are shown at all: {shown}");
}
