//! Chromium without a window, driven as a user drives it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver};
use tokio::time::Instant;

use super::driver::Driver;
use super::look::{Scheme, Screen};
use crate::support::http::client_builder;
use crate::support::wait::PAUSE;

/// Longer than any command takes, even on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a page may take to come to what a test waits for.
pub(super) const SOON: Duration = Duration::from_secs(20);
/// The tallest picture of a page, in CSS pixels.
const TALLEST: f64 = 6000.0;

/// Runs in each document before anything of its own. What a hostile text calls if a page lets it run something.
const SENTINEL: &str = "window.hostileRan = where => console.error('a hostile text ran in ' + where);";

/// A browser with one window, and a profile of its own. Dropping it kills it.
pub(super) struct Browser {
    driver: WebDriver,
    process: Driver,
}

impl Browser {
    /// Starts one; nothing is loaded, the screen is a desk's, and the colours are light.
    pub(super) async fn start() -> Self {
        let process = Driver::start().await;
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            // Chromium's own sandbox does not work for root.
            "--no-sandbox",
            // Containers often have little shared memory.
            "--disable-dev-shm-usage",
            "--disable-component-update",
            // As where they take no room; in pictures they would only be an empty edge.
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--lang=en",
            &format!("--user-data-dir={}", process.profile()),
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        let client = client_builder().timeout(LIMIT).build().unwrap();
        let driver =
            WebDriver::builder(process.url(), capabilities).client(client).await.unwrap_or_else(|error| {
                panic!("no browser came up: {error}; Debian's package chromium brings it")
            });
        let browser = Self { driver, process };
        browser.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": SENTINEL})).await;
        browser.look(Screen::Desk, Scheme::Light).await;
        browser
    }

    /// What finds elements, clicks and types.
    pub(super) fn driver(&self) -> &WebDriver {
        &self.driver
    }

    /// Sends a command of the Chrome DevTools protocol.
    pub(super) async fn command(&self, method: &str, parameters: Value) -> Value {
        let answer = self.driver.cdp().send_raw(method, parameters).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Changes the screen and the preferred colours. A page that is shown already may be on its way to them.
    pub(super) async fn look(&self, screen: Screen, scheme: Scheme) {
        let metrics = json!({
            "width": screen.width(), "height": screen.height(), "deviceScaleFactor": 1, "mobile": screen.is_mobile(),
        });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme.name()},
            // Nothing is half on its way in a picture.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.command("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Lets pages run scripts, or not. It counts from the next page on.
    pub(super) async fn run_scripts(&self, are_run: bool) {
        self.command("Emulation.setScriptExecutionDisabled", json!({"value": !are_run})).await;
    }

    /// Goes to a page, and waits until it is loaded.
    pub(super) async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// What the body of a function returns that runs in the page, also where pages run no scripts.
    pub(super) async fn evaluate(&self, body: &str) -> Value {
        match self.attempt(body).await {
            Ok(value) => value,
            Err(error) => panic!("{error} in\n{body}"),
        }
    }

    async fn attempt(&self, body: &str) -> Result<Value, String> {
        let answer = self.driver.execute(body, Vec::new()).await;
        answer.map(|answer| answer.json().clone()).map_err(|error| error.to_string())
    }

    /// Waits until an expression in the page is true; fails the test with what the page shows when it does not come to that.
    pub(super) async fn until(&self, what: &str, expression: &str) {
        self.until_within(what, expression, SOON).await;
    }

    pub(super) async fn until_within(&self, what: &str, expression: &str, within: Duration) {
        let deadline = Instant::now() + within;
        let body = format!("return {expression}");
        loop {
            // A page that is left meanwhile answers with an error.
            let last = self.attempt(&body).await;
            if last == Ok(Value::Bool(true)) {
                return;
            }
            if Instant::now() > deadline {
                panic!(
                    "not within {within:?}: {what}; `{expression}` is {last:?} in\n{}",
                    self.shown().await
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What a user sees: the address, the title and the text.
    pub(super) async fn shown(&self) -> String {
        let body =
            "return [location.href, document.title, document.body.innerText].join('\\n').slice(0, 4000)";
        match self.attempt(body).await {
            Ok(shown) => shown.as_str().unwrap_or_default().to_owned(),
            Err(error) => error,
        }
    }

    /// Writes a picture of the whole page to `target/screenshots/`: its path.
    pub(super) async fn screenshot(&self, name: &str) -> PathBuf {
        let size = self
            .evaluate("const root = document.documentElement; return [root.clientWidth, root.scrollHeight]")
            .await;
        let (width, height) = (size[0].as_f64().unwrap(), size[1].as_f64().unwrap().min(TALLEST));
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let parameters = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.command("Page.captureScreenshot", parameters).await;
        // Cargo has `tmp` for tests in its target directory.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{name}.png"));
        std::fs::write(&path, STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
        path
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its process is killed, so that nobody has to be told. It fails only if that was done already.
        let _ = self.driver.clone().leak();
        let _ = &self.process;
    }
}
