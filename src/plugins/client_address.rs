//! Who the client is, behind proxies that are trusted to say so.

use std::net::IpAddr;

use async_trait::async_trait;
use http::HeaderName;
use ipnet::IpNet;
use serde::Deserialize;

use crate::door::{Client, Entry, Exchange, Flow, Invalid, Parts, Plugin, Refusal, Scheme};

pub(super) const ENTRY: Entry = Entry {
    name: "client_address",
    summary: "Takes the client's address, scheme and host from the forwarding headers of trusted proxies.",
    build,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Networks whose hosts are believed, such as `["10.0.0.0/8"]`. Empty: nobody is.
    trusted_proxies: Vec<IpNet>,
}

struct ClientAddress {
    trusted: Vec<IpNet>,
}

fn build(table: &toml::Table, _parts: &Parts) -> Result<Box<dyn Plugin>, Invalid> {
    let options: Options = Invalid::or_options(ENTRY.name, table)?;
    Ok(Box::new(ClientAddress { trusted: options.trusted_proxies }))
}

#[async_trait]
impl Plugin for ClientAddress {
    async fn on_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        if self.is_trusted(exchange.client.peer) {
            let headers = &exchange.request.headers;
            let text = |name: &HeaderName| {
                headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            };
            let chain: Vec<String> = headers
                .get_all(&X_FORWARDED_FOR)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
                .collect();
            let (scheme, host) = (text(&X_FORWARDED_PROTO), text(&X_FORWARDED_HOST));
            self.believe(&mut exchange.client, &chain.join(","), scheme.as_deref(), host.as_deref());
        }
        Ok(Flow::Continue)
    }
}

impl ClientAddress {
    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The client is the last address in the chain that is no trusted proxy: what stands in front of it, anyone may
    /// have written.
    fn believe(&self, client: &mut Client, chain: &str, scheme: Option<&str>, host: Option<&str>) {
        client.is_trusted_proxy = true;
        for hop in chain.rsplit(',').map(str::trim).filter(|hop| !hop.is_empty()) {
            let Some(address) = parse_hop(hop) else { break };
            client.address = address;
            if !self.is_trusted(address) {
                break;
            }
        }
        // Of several values the first is the outermost proxy's.
        let first = |values: &str| values.split(',').next().unwrap_or_default().trim().to_owned();
        match scheme.map(first).as_deref() {
            Some("https") => client.scheme = Scheme::Https,
            Some("http") => client.scheme = Scheme::Http,
            _ => {}
        }
        if let Some(host) = host.map(first).filter(|host| host.parse::<http::uri::Authority>().is_ok()) {
            client.host = Some(host);
        }
    }
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(chain: &str, scheme: Option<&str>, host: Option<&str>) -> Client {
        let plugin =
            ClientAddress { trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()] };
        let mut client = Client {
            peer: "10.0.0.1".parse().unwrap(),
            address: "10.0.0.1".parse().unwrap(),
            scheme: Scheme::Http,
            host: Some("door:5000".to_owned()),
            is_trusted_proxy: false,
            user: None,
            token: None,
        };
        plugin.believe(&mut client, chain, scheme, host);
        client
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        for (chain, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
            ("203.0.113.9, 192.0.2.7, 10.1.1.1", "192.0.2.7"),
            ("192.0.2.7:4711, 10.1.1.1:80", "192.0.2.7"),
            ("2001:db8::1, [fd00::2]:443", "2001:db8::1"),
            ("10.9.9.9", "10.9.9.9"),
            ("", "10.0.0.1"),
            ("192.0.2.7, nonsense, 10.1.1.1", "10.1.1.1"),
        ] {
            assert_eq!(client(chain, None, None).address, expected.parse::<IpAddr>().unwrap(), "{chain}");
        }
    }

    #[test]
    fn scheme_and_host_are_those_of_the_outermost_proxy() {
        let client = client("", Some("https, http"), Some("registry.example, inner"));
        assert_eq!((client.scheme, client.host.as_deref()), (Scheme::Https, Some("registry.example")));
    }

    #[test]
    fn a_host_that_is_none_is_not_believed() {
        assert_eq!(client("", None, Some("a b/c")).host.as_deref(), Some("door:5000"));
    }
}
