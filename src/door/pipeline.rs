//! The plugins in their order, and what happens when one of them fails.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::{Exchange, Flow, Outcome, Plugin, Refusal, ResponseHead, Write};
use crate::oci::ErrorCode;

/// All plugins, in table order.
pub struct Pipeline {
    plugins: Vec<(&'static str, Box<dyn Plugin>)>,
}

impl Pipeline {
    /// From the plugins in the order of the table.
    pub fn new(plugins: Vec<(&'static str, Box<dyn Plugin>)>) -> Self {
        Self { plugins }
    }

    /// Asks each plugin in order, until one responds or refuses.
    pub(super) async fn on_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        for (name, plugin) in &self.plugins {
            match caught(name, plugin.on_request(exchange)).await?? {
                Flow::Continue => {}
                respond @ Flow::Respond(_) => return Ok(respond),
            }
        }
        Ok(Flow::Continue)
    }

    /// Shows a write to each plugin in order, until one responds or refuses.
    pub(super) async fn on_write(&self, exchange: &mut Exchange, write: &Write) -> Result<Flow, Refusal> {
        for (name, plugin) in &self.plugins {
            match caught(name, plugin.on_write(exchange, write)).await?? {
                Flow::Continue => {}
                respond @ Flow::Respond(_) => return Ok(respond),
            }
        }
        Ok(Flow::Continue)
    }

    /// Shows a response to each plugin, in reverse.
    pub(super) async fn on_response(
        &self,
        exchange: &mut Exchange,
        head: &mut ResponseHead,
    ) -> Result<(), Refusal> {
        for (name, plugin) in self.plugins.iter().rev() {
            caught(name, plugin.on_response(exchange, head)).await??;
        }
        Ok(())
    }

    /// Tells each plugin that it is over, in reverse; one that panics does not keep it from the others.
    pub(super) async fn on_end(&self, exchange: &Exchange, outcome: &Outcome) {
        for (name, plugin) in self.plugins.iter().rev() {
            // The exchange is over: the panic has been logged, and there is nobody left to tell.
            let _: Result<(), Refusal> = caught(name, plugin.on_end(exchange, outcome)).await;
        }
    }
}

/// Runs a hook; a panic in it becomes a refusal of this exchange alone.
async fn caught<T>(plugin: &'static str, hook: impl Future<Output = T>) -> Result<T, Refusal> {
    AssertUnwindSafe(hook).catch_unwind().await.map_err(|panic| {
        let cause = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        tracing::error!(plugin, %cause, "a plugin panicked; its exchange fails");
        metrics::counter!("portreeve_plugin_panics_total", "plugin" => plugin).increment(1);
        Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why")
            .because(format!("plugin {plugin} panicked: {cause}"))
    })
}
