//! Pages with one defect each: what the other tests look for is found.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;

use super::browser::Browser;
use super::look::{Scheme, Screen};

const POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'";
const SCRIPT: &str = "document.getElementById('said').textContent = 'a script ran'";
/// Both schemes, and text that stands out in either.
const STYLE: &str = "body { background: #fff; color: #222 } .faint { color: #ddd } .wide { width: 2000px }
    .scrolls { overflow-x: auto; max-width: 100% }
    @media (prefers-color-scheme: dark) { body { background: #111; color: #eee } .dim { color: #333 } }";
const ICON: &str = "<svg xmlns='http://www.w3.org/2000/svg'/>";

/// A page with this in its body, and nothing wrong besides.
fn page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>A page</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"/icon.svg\">\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body><main><h1>A page</h1><p id=\"said\">no script ran</p>\
         {body}</main><script src=\"/script.js\"></script></body></html>"
    )
}

/// Serves these bodies, each under its place in the list.
async fn serve(bodies: &[&str]) -> SocketAddr {
    let file = |content_type: &'static str, content: String| {
        get(async move || ([(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY)], content))
    };
    let mut router = Router::new()
        .route("/script.js", file("text/javascript", SCRIPT.to_owned()))
        .route("/style.css", file("text/css", STYLE.to_owned()))
        .route("/icon.svg", file("image/svg+xml", ICON.to_owned()))
        .route("/throws.js", file("text/javascript", "setTimeout(() => nothing(), 0)".to_owned()))
        .route("/complains.js", file("text/javascript", "console.error('all is lost')".to_owned()))
        .route(
            "/asks.js",
            file("text/javascript", "fetch('http://127.0.0.1:9/').catch(() => {})".to_owned()),
        );
    for (number, body) in bodies.iter().enumerate() {
        router = router.route(&format!("/{number}"), file("text/html", page(body)));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the runtime of the test.
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What is found about a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Complaint,
    Sideways,
    Markup,
    Axe,
}

/// Everything that is found, and what of it was found.
async fn findings(browser: &Browser) -> (Vec<Found>, String) {
    let found = [
        (Found::Complaint, browser.complaints().await),
        (Found::Sideways, browser.sideways().await),
        (Found::Markup, browser.markup_of_texts().await),
        (Found::Axe, browser.axe().await),
    ];
    let kinds = found.iter().filter(|(_, found)| !found.is_empty()).map(|(kind, _)| *kind).collect();
    let said: Vec<String> = found.into_iter().flat_map(|(_, found)| found).collect();
    (kinds, said.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_defect_of_a_page_is_found_by_what_looks_for_it_and_a_page_without_any_passes() {
    let cases: [(&str, &[Found], &str); 14] = [
        ("<p>Nothing is wrong.</p>", &[], ""),
        ("<script>document.title = 'taken'</script>", &[Found::Complaint], "security: "),
        ("<p style=\"color: red\">Red</p>", &[Found::Complaint], "style-src"),
        ("<button onclick=\"hostileRan('a click')\">Do</button>", &[Found::Complaint], "security: "),
        ("<script src=\"/asks.js\"></script>", &[Found::Complaint], "connect-src"),
        ("<script src=\"/complains.js\"></script>", &[Found::Complaint], "all is lost"),
        ("<script src=\"/throws.js\"></script>", &[Found::Complaint], "nothing is not defined"),
        ("<img alt=\"a picture\" src=\"/missing.png\">", &[Found::Complaint], "404"),
        ("<p class=\"wide\">Wide</p>", &[Found::Sideways], "<p class=\"wide\">"),
        (
            "<div class=\"scrolls\" tabindex=\"0\" role=\"region\" aria-label=\"Wide\"><p class=\"wide\">Wide</p></div>",
            &[],
            "",
        ),
        ("<p data-hostile>A text that became markup</p>", &[Found::Markup], "data-hostile"),
        ("<p><a href=\"javascript:hostileRan('a link')\">Go</a></p>", &[Found::Markup], "javascript:"),
        ("<img src=\"/icon.svg\">", &[Found::Axe], "image-alt"),
        ("<p class=\"faint\">Hardly to be read</p>", &[Found::Axe], "color-contrast"),
    ];
    let address = serve(&cases.map(|(body, ..)| body)).await;
    let browser = Browser::start().await;
    for (number, (body, expected, text)) in cases.into_iter().enumerate() {
        for screen in Screen::ALL {
            browser.look(screen, Scheme::Light).await;
            browser.open(&format!("http://{address}/{number}")).await;
            let (found, said) = findings(&browser).await;
            assert_eq!(found, expected, "{screen:?}: {body}: {said}");
            assert!(said.contains(text), "{screen:?}: {body}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_screens_scripts_paint_and_pictures_are_those_of_the_page() {
    let address = serve(&["<p class=\"dim\">Seen in the light</p>", ""]).await;
    let browser = Browser::start().await;
    let url = format!("http://{address}/0");
    for (screen, scheme, is_found) in [
        (Screen::Desk, Scheme::Light, false),
        (Screen::Phone, Scheme::Dark, true),
        (Screen::Phone, Scheme::Light, false),
        (Screen::Desk, Scheme::Dark, true),
    ] {
        browser.look(screen, scheme).await;
        browser.open(&url).await;
        assert_eq!(browser.evaluate("return innerWidth").await, screen.width());
        let dark = browser.evaluate("return matchMedia('(prefers-color-scheme: dark)').matches").await;
        assert_eq!(dark, scheme == Scheme::Dark);
        let said = browser.axe().await;
        assert_eq!(said.iter().any(|line| line.contains("color-contrast")), is_found, "{said:#?}");
        let picture = std::fs::read(browser.screenshot("harness").await).unwrap();
        // The width stands in the first chunk of a PNG.
        assert_eq!(u32::from_be_bytes(picture[16..20].try_into().unwrap()), screen.width());
    }
    let bytes = browser.bytes().await;
    let made_of = page("<p class=\"dim\">Seen in the light</p>").len() + SCRIPT.len() + STYLE.len();
    assert!((made_of..made_of + ICON.len() + 1).contains(&usize::try_from(bytes).unwrap()), "{bytes}");
    let painted = browser.first_contentful_paint().await;
    assert!(painted > Duration::ZERO && painted < Duration::from_secs(20), "{painted:?}");
    let said = "return document.getElementById('said').textContent";
    assert_eq!(browser.evaluate(said).await, "a script ran");
    browser.run_scripts(false).await;
    browser.open(&url).await;
    assert_eq!(browser.evaluate(said).await, "no script ran");
    browser.run_scripts(true).await;
    browser.open(&url).await;
    browser.until("the script ran", "document.getElementById('said').textContent === 'a script ran'").await;
    assert!(browser.complaints().await.is_empty());
}
