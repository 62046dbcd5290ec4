//! Checks the addresses that a name resolves to, so that a granted name cannot lead into the local network.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names and keeps only addresses that may be connected to.
///
/// The connection is made to what this returns, so there is no moment between check and use in which a name could
/// change its mind. Hosts written as addresses are not resolved: a grant that matches one names it.
#[derive(Debug, Clone)]
pub(crate) struct CheckedResolver(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    /// Addresses that some granted origin is written as.
    named: BTreeSet<IpAddr>,
    /// The proxies of the user's environment, which stand wherever they stand. What lies behind one is its matter.
    proxies: BTreeSet<String>,
    /// What every name leads to in tests, in the place of the system's answer.
    #[cfg(test)]
    led_to: Vec<IpAddr>,
}

/// A name led to addresses that no grant covers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` resolves to {address}, an address inside the local network")]
pub(crate) struct AddressRefused {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
}

impl CheckedResolver {
    pub(crate) fn new(named: BTreeSet<IpAddr>, proxies: BTreeSet<String>) -> Self {
        Self(Arc::new(Rules {
            named,
            proxies,
            #[cfg(test)]
            led_to: Vec::new(),
        }))
    }

    /// The same with every name leading to these addresses.
    #[cfg(test)]
    pub(crate) fn leading_to(self, addresses: &[IpAddr]) -> Self {
        Self(Arc::new(Rules {
            named: self.0.named.clone(),
            proxies: self.0.proxies.clone(),
            led_to: addresses.to_vec(),
        }))
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found = rules.look_up(&name).await?;
            let kept = rules.keep(&name, &found)?;
            // Port 0 makes the client use the URL's.
            Ok(Box::new(kept.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

impl Rules {
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        #[cfg(test)]
        if !self.led_to.is_empty() {
            return Ok(self.led_to.clone());
        }
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }

    fn keep(
        &self,
        name: &str,
        found: &[IpAddr],
    ) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let kept: Vec<IpAddr> = found
            .iter()
            .copied()
            .filter(|address| self.may_reach(&name, *address))
            .collect();
        match found.first() {
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
            Some(address) if kept.is_empty() => Err(AddressRefused {
                name,
                address: *address,
            }
            .into()),
            Some(_) => Ok(kept),
        }
    }

    fn may_reach(&self, name: &str, address: IpAddr) -> bool {
        if self.named.contains(&address) || self.proxies.contains(name) {
            return true;
        }
        match reach(address) {
            Reach::Public => true,
            Reach::Private => is_local_name(name),
            Reach::Loopback => name == "localhost" || name.ends_with(".localhost"),
            Reach::Special => false,
        }
    }
}

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Anywhere.
    Public,
    /// The site: what people number themselves.
    Private,
    /// This machine.
    Loopback,
    /// None of these: link-local (where clouds keep their metadata), multicast, reserved.
    Special,
}

/// Names that are only meant for the site at hand. One that public name servers answer for has no reason to lead
/// into it.
fn is_local_name(name: &str) -> bool {
    const SUFFIXES: &[&str] = &[
        ".internal",
        ".local",
        ".lan",
        ".home.arpa",
        ".intranet",
        ".private",
        ".corp",
        ".home",
    ];
    !name.contains('.') || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // This network; link-local; protocol assignments; documentation; benchmarks; multicast and reserved.
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Special,
        [224..=255, ..] => Reach::Special,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Loopback;
    }
    let segments = address.segments();
    match segments {
        // Mapped, and translated by NAT64: the IPv4 address at the end counts.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            reach_v4(embedded(high, low))
        }
        // 6to4 carries its IPv4 address after the prefix.
        [0x2002, high, low, ..] => reach_v4(embedded(high, low)),
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Documentation; Teredo, which hides an IPv4 address.
        [0x2001, 0xdb8 | 0, ..] => Reach::Special,
        [0x2000..=0x3fff, ..] => Reach::Public,
        // Global unicast is all there is outside that range.
        _ => Reach::Special,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: Reach) {
        assert_eq!(
            reach(address.parse().expect("an address")),
            expected,
            "{address}"
        );
    }

    #[test]
    fn addresses_reach_as_far_as_they_are_assigned() {
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::808:808",
        ] {
            check(public, Reach::Public);
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "2002:c0a8:0101::1",
            "64:ff9b::a00:1",
        ] {
            check(private, Reach::Private);
        }
        for loopback in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            check(loopback, Reach::Loopback);
        }
        for special in [
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:169.254.169.254",
            "fec0::1",
            "2001::1",
        ] {
            check(special, Reach::Special);
        }
    }

    #[test]
    fn names_lead_only_where_their_kind_may() {
        let cases = [
            ("api.example.com", "10.0.0.1", false),
            ("api.example.com", "127.0.0.1", false),
            ("api.example.com", "93.184.216.34", true),
            ("llm.corp", "10.0.0.1", true),
            ("gpubox", "192.168.1.5", true),
            ("gpubox", "127.0.0.1", false),
            ("gpubox", "169.254.169.254", false),
            ("localhost", "127.0.0.1", true),
            ("LocalHost.", "127.0.0.1", true),
            ("localhost", "10.0.0.1", true),
            ("api.example.com", "192.168.7.7", true),
            ("proxy.example.com", "10.9.9.9", true),
        ];
        let named = ["192.168.7.7".parse().expect("an address")].into();
        let resolver = CheckedResolver::new(named, ["proxy.example.com".to_owned()].into());
        for (name, address, expected) in cases {
            let address = address.parse().expect("an address");
            assert_eq!(
                resolver.0.keep(name, &[address]).is_ok(),
                expected,
                "{name} {address}"
            );
        }
    }

    #[test]
    fn of_mixed_answers_only_the_good_ones_are_used() {
        let resolver = CheckedResolver::new(BTreeSet::new(), BTreeSet::new());
        let good: IpAddr = "93.184.216.34".parse().expect("an address");
        let kept = resolver.0.keep(
            "api.example.com",
            &["10.0.0.1".parse().expect("an address"), good],
        );
        assert_eq!(kept.expect("one is left"), [good]);
        assert!(resolver.0.keep("api.example.com", &[]).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused_with_its_address() {
        let resolver = CheckedResolver::new(BTreeSet::new(), BTreeSet::new());
        let name: Name = "localhost".parse().expect("a name");
        let addresses: Vec<SocketAddr> = resolver
            .resolve(name)
            .await
            .expect("localhost is this machine")
            .collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    }
}
