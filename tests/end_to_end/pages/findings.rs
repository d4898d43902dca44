//! What is wrong with a page that a browser shows.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::browser::{Browser, SOON};
use crate::support::wait::PAUSE;

/// What the page scrolls sideways for: elements that reach beyond its right edge, and are in nothing that scrolls by itself.
const SIDEWAYS: &str = "
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth) return [];
    const scrolls = element => {
        for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
            if (getComputedStyle(up).overflowX !== 'visible') return true;
        return false;
    };
    const beyond = [...document.body.querySelectorAll('*')]
        .filter(element => element.getBoundingClientRect().right > root.clientWidth + 0.5 && !scrolls(element))
        .map(element => element.cloneNode(false).outerHTML.slice(0, 200));
    return [`the page is ${root.scrollWidth} pixels wide on a screen of ${root.clientWidth}`, ...beyond.slice(-5)];";

/// What came into the page as markup although it is text, and links that do more than lead somewhere.
const MARKUP: &str = "
    const made = [...document.querySelectorAll('[data-hostile]')].map(element => element.outerHTML.slice(0, 200));
    const leading = ['http:', 'https:', 'mailto:'];
    const links = [...document.querySelectorAll('a[href], area[href], form[action], [formaction], iframe, object, embed')]
        .filter(element => !element.matches('a, area, form') || !leading.includes(
            new URL(element.getAttribute('href') ?? element.getAttribute('action'), location.href).protocol))
        .filter(element => !element.matches('[formaction]')
            || !leading.includes(new URL(element.getAttribute('formaction'), location.href).protocol))
        .map(element => element.outerHTML.slice(0, 200));
    return [...made, ...links];";

/// What axe-core finds, as text.
const AXE: &str = "
    axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations.flatMap(({id, impact, help, nodes}) =>
        nodes.map(node => `${id} (${impact}): ${help}: ${node.target.join(' ')}: ${node.html.slice(0, 160)}: `
            + node.failureSummary.replace(/\\s+/g, ' ').slice(0, 300))))";

impl Browser {
    /// What the browser has complained about since this was asked last: errors and warnings of scripts and of the console,
    /// files that could not be loaded, and everything that a content security policy forbade.
    ///
    /// The browser writes one log in the order of things. A mark of our own in it tells that all before it was read.
    pub(super) async fn complaints(&self) -> Vec<String> {
        static MARKS: AtomicU64 = AtomicU64::new(0);
        let mark = format!("mark {} of the test", MARKS.fetch_add(1, Ordering::Relaxed));
        self.evaluate(&format!("console.debug('{mark}')")).await;
        let deadline = Instant::now() + SOON;
        let mut complaints = Vec::new();
        loop {
            for entry in self.driver().browser_log().await.unwrap() {
                if entry.source.as_deref() == Some("console-api") && entry.message.contains(&mark) {
                    return complaints;
                }
                if ["SEVERE", "WARNING"].contains(&entry.level.as_str()) {
                    complaints.push(format!("{}: {}", entry.source.unwrap_or_default(), entry.message));
                }
            }
            assert!(Instant::now() < deadline, "the browser's log has no `{mark}`, but {complaints:#?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Nothing unless the page itself scrolls sideways; then what reaches beyond its edge.
    pub(super) async fn sideways(&self) -> Vec<String> {
        texts(&self.evaluate(SIDEWAYS).await)
    }

    /// Texts that became markup, or links that run something.
    pub(super) async fn markup_of_texts(&self) -> Vec<String> {
        texts(&self.evaluate(MARKUP).await)
    }

    /// What axe-core says against the page. It is put there by the debugger, which no policy of the page hinders.
    pub(super) async fn axe(&self) -> Vec<String> {
        if self.evaluate("return !window.axe").await == true {
            // Cargo has `tmp` for tests in its target directory, and `tools` is beside it.
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools/bin/axe");
            let source = std::fs::read_to_string(&file).unwrap_or_else(|error| {
                panic!("{} cannot be read ({error}): `tests/tools.sh axe` brings it", file.display())
            });
            self.in_debugger(&source).await;
        }
        texts(&self.in_debugger(AXE).await)
    }

    /// When the first text or picture of the page was painted, from the moment of its navigation.
    pub(super) async fn first_contentful_paint(&self) -> Duration {
        let entry = "performance.getEntriesByName('first-contentful-paint')[0]";
        self.until("something is painted", &format!("{entry} !== undefined")).await;
        let milliseconds = self.evaluate(&format!("return {entry}.startTime")).await;
        Duration::from_secs_f64(milliseconds.as_f64().unwrap() / 1000.0)
    }

    /// How many bytes the page and everything that it has loaded are, as they were sent, or are kept.
    pub(super) async fn bytes(&self) -> u64 {
        let body = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
            .reduce((bytes, entry) => bytes + entry.encodedBodySize, 0)";
        self.evaluate(body).await.as_u64().unwrap()
    }

    /// The value of an expression, or of the promise that it is.
    async fn in_debugger(&self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.command("Runtime.evaluate", parameters).await;
        assert!(answer["exceptionDetails"].is_null(), "{:#}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }
}

fn texts(list: &Value) -> Vec<String> {
    let Value::Array(list) = list else { panic!("no list: {list}") };
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
