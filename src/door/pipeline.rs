//! The plugins in their order, and what happens when one of them fails.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;

use super::{Exchange, ExchangeOutcome, Flow, Plugin, Refusal, ResponseHead};
use crate::oci::ErrorCode;
use crate::sync::ManifestWrite;

/// All plugins, in table order.
pub struct Pipeline {
    plugins: Vec<(&'static str, Box<dyn Plugin>)>,
}

impl Pipeline {
    /// From the plugins in the order of the table.
    pub fn new(plugins: Vec<(&'static str, Box<dyn Plugin>)>) -> Self {
        for (name, _) in &plugins {
            // So that it begins at 0.
            let _ = panics_of(name);
        }
        Self { plugins }
    }

    /// Asks each plugin in order, until one responds or refuses.
    pub(super) async fn on_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        for (name, plugin) in &self.plugins {
            match catch_panic(name, plugin.on_request(exchange)).await?? {
                Flow::Continue => {}
                respond @ Flow::Respond(_) => return Ok(respond),
            }
        }
        Ok(Flow::Continue)
    }

    /// Shows a write to each plugin in order, until one responds or refuses.
    pub(super) async fn on_write(
        &self,
        exchange: &mut Exchange,
        write: &ManifestWrite,
    ) -> Result<Flow, Refusal> {
        for (name, plugin) in &self.plugins {
            match catch_panic(name, plugin.on_write(exchange, write)).await?? {
                Flow::Continue => {}
                respond @ Flow::Respond(_) => return Ok(respond),
            }
        }
        Ok(Flow::Continue)
    }

    /// Shows a response to each plugin, in reverse.
    pub(super) fn on_response(
        &self,
        exchange: &mut Exchange,
        head: &mut ResponseHead,
    ) -> Result<(), Refusal> {
        for (name, plugin) in self.plugins.iter().rev() {
            let hook = AssertUnwindSafe(|| plugin.on_response(exchange, head));
            catch_unwind(hook).map_err(|panic| panicked(name, panic.as_ref()))??;
        }
        Ok(())
    }

    /// Tells each plugin that the exchange is over, in reverse; one that panics does not keep the others from hearing it.
    pub(super) fn on_end(&self, exchange: &Exchange, outcome: &ExchangeOutcome) {
        for (name, plugin) in self.plugins.iter().rev() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| plugin.on_end(exchange, outcome))) {
                // It is logged; the exchange is over.
                let _: Refusal = panicked(name, panic.as_ref());
            }
        }
    }
}

fn panics_of(plugin: &'static str) -> metrics::Counter {
    metrics::counter!("portreeve_plugin_panics_total", "plugin" => plugin)
}

/// Runs a hook; a panic in it becomes a refusal of this exchange alone.
async fn catch_panic<T>(plugin: &'static str, hook: impl Future<Output = T>) -> Result<T, Refusal> {
    AssertUnwindSafe(hook).catch_unwind().await.map_err(|panic| panicked(plugin, panic.as_ref()))
}

/// Counts a panic, and has the log say it; the refusal that it becomes.
fn panicked(plugin: &'static str, panic: &(dyn Any + Send)) -> Refusal {
    let cause = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    tracing::error!(plugin, %cause, "a plugin panicked; its exchange fails");
    panics_of(plugin).increment(1);
    Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why")
        .because(format!("plugin {plugin} panicked: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use async_trait::async_trait;
    use http::StatusCode;
    use pingora_http::RequestHeader;

    use super::*;
    use crate::door::{Client, Response, Target};

    /// Notes each hook, and fails in the one that it was told.
    struct Noting {
        name: &'static str,
        notes: Arc<Mutex<Vec<String>>>,
        panics_in: &'static str,
        responds: bool,
    }

    impl Noting {
        fn note(&self, hook: &'static str) {
            self.notes.lock().unwrap().push(format!("{} {hook}", self.name));
            assert!(self.panics_in != hook, "told to fail");
        }
    }

    #[async_trait]
    impl Plugin for Noting {
        async fn on_request(&self, _exchange: &mut Exchange) -> Result<Flow, Refusal> {
            self.note("request");
            if self.responds {
                let head = ResponseHead::build(200, None).unwrap();
                return Ok(Flow::Respond(Box::new(Response {
                    head,
                    body: bytes::Bytes::new().into(),
                    origin: super::super::AnswerOrigin::Door,
                })));
            }
            Ok(Flow::Continue)
        }

        fn on_response(&self, _exchange: &mut Exchange, _head: &mut ResponseHead) -> Result<(), Refusal> {
            self.note("response");
            Ok(())
        }

        fn on_end(&self, _exchange: &Exchange, _outcome: &ExchangeOutcome) {
            self.note("end");
        }
    }

    fn exchange() -> Exchange {
        Exchange {
            request_id: Default::default(),
            started: Instant::now(),
            request: RequestHeader::build("GET", b"/v2/", None).unwrap(),
            target: Target::Own,
            client: Client::of_connection(None, false, None),
            backend: None,
            forwarding: Default::default(),
            viewer: Default::default(),
            catalog: Default::default(),
            note: None,
        }
    }

    fn outcome() -> ExchangeOutcome {
        ExchangeOutcome { status: None, received: 0, sent: 0, duration: Duration::ZERO, cause: None }
    }

    /// Two plugins, of which the first panics in the named hook or the second responds.
    fn pipeline(panics_in: &'static str, responds: bool) -> (Pipeline, Arc<Mutex<Vec<String>>>) {
        let notes = Arc::default();
        let plugin = |name, panics_in, responds| -> (&'static str, Box<dyn Plugin>) {
            (name, Box::new(Noting { name, notes: Arc::clone(&notes), panics_in, responds }))
        };
        let pipeline = Pipeline::new(vec![plugin("one", panics_in, false), plugin("two", "", responds)]);
        (pipeline, notes)
    }

    #[tokio::test]
    async fn requests_go_in_order_and_responses_and_ends_in_reverse() {
        let (pipeline, notes) = pipeline("", false);
        let mut exchange = exchange();
        assert!(matches!(pipeline.on_request(&mut exchange).await, Ok(Flow::Continue)));
        pipeline.on_response(&mut exchange, &mut ResponseHead::build(200, None).unwrap()).unwrap();
        pipeline.on_end(&exchange, &outcome());
        let expected = ["one request", "two request", "two response", "one response", "two end", "one end"];
        assert_eq!(*notes.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_plugin_that_panics_fails_its_own_exchange_with_500() {
        let (pipeline, notes) = pipeline("request", false);
        let refusal = pipeline.on_request(&mut exchange()).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!refusal.message.contains("told to fail"), "a panic's words are not for the client");
        assert!(refusal.to_string().contains("told to fail"), "{refusal}");
        assert_eq!(*notes.lock().unwrap(), ["one request"], "a request hook that fails, fails closed");
    }

    #[tokio::test]
    async fn a_plugin_that_panics_at_the_end_does_not_keep_it_from_the_others() {
        let (pipeline, notes) = pipeline("end", false);
        pipeline.on_end(&exchange(), &outcome());
        assert_eq!(*notes.lock().unwrap(), ["two end", "one end"]);
    }

    #[tokio::test]
    async fn a_plugin_that_responds_ends_the_requests_way() {
        let (pipeline, _notes) = pipeline("", true);
        assert!(matches!(pipeline.on_request(&mut exchange()).await, Ok(Flow::Respond(_))));
    }
}
