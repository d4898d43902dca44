//! Who the client is, behind proxies that are trusted to say so.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use serde::Deserialize;

use crate::door::{
    Client, Entry, Exchange, Flow, Hop, InvalidOption, Plugin, PluginOption, Prepared, Refusal, Scheme,
    is_authority, read_forwarded, read_options,
};

pub(super) const ENTRY: Entry = Entry {
    name: "client_address",
    options: &[PluginOption {
        name: "trusted_proxies",
        expects: "a list of networks, such as `[\"10.0.0.0/8\", \"fd00::/8\"]`",
    }],
    prepare,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Networks whose hosts are believed, such as `["10.0.0.0/8"]`. Empty: none is.
    trusted_proxies: Vec<IpNet>,
}

struct ClientAddress {
    trusted: Vec<IpNet>,
    /// Whether it was said that a proxy seems to be there which is not trusted.
    is_said: AtomicBool,
}

fn prepare(table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    let trusted = trusted_proxies(table)?;
    Ok(Box::new(move |_| Box::new(ClientAddress { trusted, is_said: AtomicBool::new(false) })))
}

/// The networks of proxies that are trusted, as the plugin's options name them.
pub(super) fn trusted_proxies(table: &toml::Table) -> Result<Vec<IpNet>, Vec<InvalidOption>> {
    read_options(table).map(|options: Options| options.trusted_proxies)
}

#[async_trait]
impl Plugin for ClientAddress {
    async fn on_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        if self.is_trusted(exchange.client.peer) {
            self.believe(&mut exchange.client, &exchange.request.headers);
        } else if self.trusted.is_empty() {
            self.warn_once(exchange.client.peer, &exchange.request.headers);
        }
        Ok(Flow::Continue)
    }
}

impl ClientAddress {
    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Says once that requests come through a proxy, by its headers, and none is trusted: it may have been forgotten.
    fn warn_once(&self, peer: IpAddr, headers: &HeaderMap) {
        let is_forwarded = || headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED);
        if !self.is_said.load(Ordering::Relaxed)
            && is_forwarded()
            && !self.is_said.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %peer,
                "a request came with X-Forwarded-For or Forwarded, which is not believed, since \
                 plugins.client_address.trusted_proxies is empty; name the proxy's network there if it is yours"
            );
        }
    }

    /// Believes a trusted proxy. It may pass on from the client what it does not set itself, and most proxies set
    /// `X-Forwarded-*`: so `Forwarded` counts only where there is none of those.
    fn believe(&self, client: &mut Client, headers: &HeaderMap) {
        client.is_trusted_proxy = true;
        let (chain, scheme, host) = (
            values(headers, &X_FORWARDED_FOR),
            values(headers, &X_FORWARDED_PROTO),
            values(headers, &X_FORWARDED_HOST),
        );
        if !(chain.is_empty() && scheme.is_empty() && host.is_empty()) {
            self.believe_chain(client, &chain.join(","));
            // Of several values the first is the outermost proxy's.
            let first = |values: &[&str]| {
                values
                    .first()
                    .and_then(|values| values.split(',').next())
                    .map(|value| value.trim().to_owned())
            };
            set_scheme(client, first(&scheme).as_deref());
            set_host(client, first(&host));
        } else {
            self.believe_hops(client, read_forwarded(values(headers, &FORWARDED).into_iter()));
        }
    }

    /// The client is the last address in the chain that is no trusted proxy: what stands in front of it, the client may
    /// have written itself.
    fn believe_chain(&self, client: &mut Client, chain: &str) {
        for hop in chain.rsplit(',').map(str::trim).filter(|hop| !hop.is_empty()) {
            let Some(address) = parse_hop(hop) else { break };
            client.address = address;
            if !self.is_trusted(address) {
                break;
            }
        }
    }

    /// The same for hops, the nearest one first. Scheme and host are those of the outermost trusted proxy that says them.
    fn believe_hops(&self, client: &mut Client, hops: Vec<Hop>) {
        for Hop { address, host, scheme } in hops {
            set_scheme(client, scheme.as_deref());
            set_host(client, host);
            let Some(address) = address else { break };
            client.address = address;
            if !self.is_trusted(address) {
                break;
            }
        }
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
}

/// A scheme has no case (RFC 3986 section 3.1).
fn set_scheme(client: &mut Client, scheme: Option<&str>) {
    match scheme.map(str::to_ascii_lowercase).as_deref() {
        Some("https") => client.scheme = Scheme::Https,
        Some("http") => client.scheme = Scheme::Http,
        _ => {}
    }
}

fn set_host(client: &mut Client, host: Option<String>) {
    if let Some(host) = host.filter(|host| is_authority(host)) {
        client.host = Some(host);
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

    fn client_with(headers: &[(&'static str, &'static str)]) -> Client {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let plugin = ClientAddress { trusted, is_said: AtomicBool::new(false) };
        let mut client = Client {
            peer: "10.0.0.1".parse().unwrap(),
            address: "10.0.0.1".parse().unwrap(),
            scheme: Scheme::Http,
            host: Some("door:5000".to_owned()),
            is_trusted_proxy: false,
            user: None,
            token: None,
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        plugin.believe(&mut client, &map);
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
            let client = client_with(&[("x-forwarded-for", chain)]);
            assert_eq!(client.address, expected.parse::<IpAddr>().unwrap(), "{chain}");
        }
        let split = [("x-forwarded-for", "203.0.113.9, 192.0.2.7"), ("x-forwarded-for", "10.1.1.1")];
        assert_eq!(client_with(&split).address, "192.0.2.7".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn scheme_and_host_are_those_of_the_outermost_proxy() {
        for (scheme, expected) in [
            ("https, http", Scheme::Https),
            ("https", Scheme::Https),
            ("HTTPS", Scheme::Https),
            (" Https ,HTTP", Scheme::Https),
            ("HTTP", Scheme::Http),
            ("wss", Scheme::Http),
            ("", Scheme::Http),
        ] {
            let headers = [("x-forwarded-proto", scheme), ("x-forwarded-host", "registry.example, inner")];
            let client = client_with(&headers);
            assert_eq!(
                (client.scheme, client.host.as_deref()),
                (expected, Some("registry.example")),
                "{scheme}"
            );
        }
    }

    #[test]
    fn a_host_that_is_none_is_not_believed() {
        for host in ["a b/c", "", "user@registry.example", "a\",b=\"c"] {
            assert_eq!(
                client_with(&[("x-forwarded-host", host)]).host.as_deref(),
                Some("door:5000"),
                "{host}"
            );
        }
    }

    #[test]
    fn forwarded_says_the_same() {
        for (fields, address, scheme, host) in [
            (
                vec!["for=192.0.2.7;proto=https;host=registry.example"],
                "192.0.2.7",
                "https",
                "registry.example",
            ),
            (vec!["FOR=\"[2001:db8::1]:4711\";PROTO=HTTPS"], "2001:db8::1", "https", "door:5000"),
            // What the client wrote itself stands in front.
            (
                vec![
                    "for=203.0.113.9;proto=http;host=evil.example, for=192.0.2.7;proto=https;host=registry.example",
                ],
                "192.0.2.7",
                "https",
                "registry.example",
            ),
            // Through two proxies, in one field or two; the inner one says how it was reached by the outer one.
            (
                vec!["for=192.0.2.7;proto=https;host=registry.example, for=10.1.1.1;proto=http;host=inner"],
                "192.0.2.7",
                "https",
                "registry.example",
            ),
            (
                vec!["for=192.0.2.7;proto=https;host=registry.example", "for=10.1.1.1;proto=http;host=inner"],
                "192.0.2.7",
                "https",
                "registry.example",
            ),
            (
                vec!["for=192.0.2.7;proto=https, for=10.1.1.1;host=registry.example"],
                "192.0.2.7",
                "https",
                "registry.example",
            ),
            (vec!["for=unknown;proto=https"], "10.0.0.1", "https", "door:5000"),
            (vec!["for=192.0.2.7, for=_hidden;proto=https"], "10.0.0.1", "https", "door:5000"),
            (vec!["for=192.0.2.7;proto=https;host=\"a b\""], "192.0.2.7", "https", "door:5000"),
            // A quotation mark that the client left open.
            (vec!["for=\"203.0.113.9, for=192.0.2.7;proto=https"], "10.0.0.1", "http", "door:5000"),
            (vec![], "10.0.0.1", "http", "door:5000"),
        ] {
            let headers: Vec<_> = fields.iter().map(|field| ("forwarded", *field)).collect();
            let client = client_with(&headers);
            let seen = (client.address, client.scheme.as_str(), client.host.as_deref());
            assert_eq!(seen, (address.parse().unwrap(), scheme, Some(host)), "{fields:?}");
        }
    }

    /// nginx and others set `X-Forwarded-*` and pass `Forwarded` on as the client sent it.
    #[test]
    fn forwarded_counts_for_nothing_beside_x_forwarded() {
        let passed_on = ("forwarded", "for=203.0.113.9;proto=https;host=evil.example");
        for (set, address) in [
            (("x-forwarded-for", "192.0.2.7"), "192.0.2.7"),
            (("x-forwarded-proto", "http"), "10.0.0.1"),
            (("x-forwarded-host", "door:5000"), "10.0.0.1"),
        ] {
            let client = client_with(&[passed_on, set]);
            let seen = (client.address, client.scheme, client.host.as_deref());
            assert_eq!(seen, (address.parse().unwrap(), Scheme::Http, Some("door:5000")), "{set:?}");
        }
    }
}
