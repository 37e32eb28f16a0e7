//! One forwarded port: made, renewed, removed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::{
    GatewayAddress, InternetProtocol, PortMapping, PortMappingOptions, PortMappingType,
    TimeoutConfig, natpmp,
};
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions, search_gateway};
use tokio::task::spawn_blocking;

/// A port of the gateway that leads to one of ours.
#[derive(Debug)]
pub struct Forward {
    inside: Ipv4Addr,
    port: NonZeroU16,
    outside: SocketAddr,
    by: By,
}

#[derive(Debug)]
enum By {
    Pcp(Box<PortMapping>),
    NatPmp(Box<PortMapping>),
    Upnp(Box<igd_next::Gateway>),
}

/// How the gateway was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Pcp,
    NatPmp,
    Upnp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Pcp => "PCP",
            Protocol::NatPmp => "NAT-PMP",
            Protocol::Upnp => "UPnP",
        })
    }
}

impl Forward {
    /// Asks the gateway in all three ways, the quick ones first.
    ///
    /// # Errors
    /// What each of them said, in words.
    pub async fn make(inside: Ipv4Addr, port: NonZeroU16) -> Result<Forward, String> {
        let quick = match default_gateway() {
            Some(gateway) => by_pcp(gateway, inside, port).await,
            None => Err("the default gateway is not known".to_owned()),
        };
        let quick = match quick {
            Ok(forward) => return Ok(forward),
            Err(why) => why,
        };
        let upnp = spawn_blocking(move || by_upnp(inside, port)).await;
        match upnp.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(forward) => Ok(forward),
            Err(slow) => Err(format!("{quick}; {slow}")),
        }
    }

    pub fn inside(&self) -> Ipv4Addr {
        self.inside
    }

    /// Where the port is reached from outside.
    pub fn outside(&self) -> SocketAddr {
        self.outside
    }

    pub fn protocol(&self) -> Protocol {
        match self.by {
            By::Pcp(_) => Protocol::Pcp,
            By::NatPmp(_) => Protocol::NatPmp,
            By::Upnp(_) => Protocol::Upnp,
        }
    }

    /// In what time it has to be renewed: well before its end, and soon enough to notice that the
    /// gateway was switched off and on.
    pub(super) fn renewal(&self) -> Duration {
        let life = match &self.by {
            By::Pcp(mapping) | By::NatPmp(mapping) => mapping.lifetime(),
            By::Upnp(_) => LEASE,
        };
        Duration::from_secs((life / 2).clamp(60, 1200).into())
    }

    /// The forward as it stands afterwards; `None` if the gateway does not renew it.
    pub(super) async fn renew(mut self) -> Option<Forward> {
        match &mut self.by {
            By::Pcp(mapping) | By::NatPmp(mapping) => {
                mapping.renew().await.ok()?;
                let ip = outer(mapping).await.ok()?;
                self.outside = outside(ip, mapping.external_port().get()).ok()?;
                Some(self)
            }
            By::Upnp(_) => {
                let (inside, port) = (self.inside, self.port);
                spawn_blocking(move || by_upnp(inside, port))
                    .await
                    .ok()?
                    .ok()
            }
        }
    }

    /// Gives the port back. That it fails is no matter: it ends by itself.
    pub async fn remove(self) {
        match self.by {
            By::Pcp(mapping) | By::NatPmp(mapping) => {
                let _ = mapping.try_drop().await;
            }
            By::Upnp(gateway) => {
                let port = self.outside.port();
                let removed = move || gateway.remove_port(PortMappingProtocol::UDP, port);
                let _ = spawn_blocking(removed).await;
            }
        }
    }
}

async fn by_pcp(gateway: Ipv4Addr, inside: Ipv4Addr, port: NonZeroU16) -> Result<Forward, String> {
    let said = |error: crab_nat::MappingFailure| error.to_string();
    let options = PortMappingOptions {
        external_port: Some(port),
        lifetime_seconds: Some(LEASE),
        timeout_config: Some(QUICK),
    };
    let gateway = GatewayAddress::from(gateway);
    let udp = InternetProtocol::Udp;
    let mapping = PortMapping::new(gateway, inside.into(), udp, port, options);
    let mapping = mapping.await.map_err(said)?;
    let outside = match outer(&mapping).await {
        Ok(ip) => outside(ip, mapping.external_port().get()),
        Err(why) => Err(why),
    };
    let outside = match outside {
        Ok(outside) => outside,
        Err(why) => {
            let _ = mapping.try_drop().await;
            return Err(why);
        }
    };
    let mapping = Box::new(mapping);
    let by = match mapping.mapping_type() {
        PortMappingType::NatPmp => By::NatPmp(mapping),
        PortMappingType::Pcp { .. } => By::Pcp(mapping),
    };
    Ok(Forward {
        inside,
        port,
        outside,
        by,
    })
}

async fn outer(mapping: &PortMapping) -> Result<IpAddr, String> {
    match mapping.mapping_type() {
        PortMappingType::Pcp { external_ip, .. } => Ok(external_ip),
        PortMappingType::NatPmp => {
            let asked = natpmp::external_address(mapping.gateway(), Some(QUICK)).await;
            asked.map(IpAddr::from).map_err(|error| error.to_string())
        }
    }
}

fn by_upnp(inside: Ipv4Addr, port: NonZeroU16) -> Result<Forward, String> {
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddr::from((inside, 0));
    options.timeout = Some(SEARCH);
    options.single_search_timeout = Some(SEARCH);
    let gateway = search_gateway(options).map_err(|error| format!("UPnP: {error}"))?;
    let ip = gateway.get_external_ip();
    let ip = ip.map_err(|error| format!("UPnP: {error}"))?;
    // Before a port is taken that is of no use.
    outside(ip, port.get())?;
    let udp = PortMappingProtocol::UDP;
    let local = SocketAddr::from((inside, port.get()));
    let same = |lease| gateway.add_port(udp, port.get(), local, lease, NAME);
    let made = match same(LEASE) {
        Err(AddPortError::OnlyPermanentLeasesSupported) => same(0),
        made => made,
    };
    let taken = match made {
        Ok(()) => Ok(port.get()),
        Err(_) => gateway.add_any_port(udp, local, LEASE, NAME),
    };
    let taken = taken.map_err(|error| format!("UPnP: {error}"))?;
    Ok(Forward {
        inside,
        port,
        outside: outside(ip, taken)?,
        by: By::Upnp(Box::new(gateway)),
    })
}

/// The outside of a gateway that stands behind another one is of no use.
fn outside(ip: IpAddr, port: u16) -> Result<SocketAddr, String> {
    let IpAddr::V4(v4) = ip.to_canonical() else {
        return Ok(SocketAddr::new(ip, port));
    };
    let [a, b, ..] = v4.octets();
    let is_inner = v4.is_private() || v4.is_loopback() || v4.is_link_local();
    if is_inner || a == 0 || a >= 224 || (a == 100 && (64..128).contains(&b)) || port == 0 {
        return Err(format!(
            "the gateway stands behind another one: its outer address is {v4}"
        ));
    }
    Ok(SocketAddr::from((v4, port)))
}

/// Where packets to the world go first.
#[cfg(target_os = "linux")]
fn default_gateway() -> Option<Ipv4Addr> {
    gateway_in(&std::fs::read_to_string("/proc/net/route").ok()?)
}

/// Elsewhere only UPnP is asked, which finds its gateway by itself.
#[cfg(not(target_os = "linux"))]
fn default_gateway() -> Option<Ipv4Addr> {
    None
}

/// The default route of least metric in the kernel's table: columns interface, destination,
/// gateway, flags, counts, uses, metric, mask; addresses in hexadecimal as they lie in memory.
#[cfg(target_os = "linux")]
fn gateway_in(table: &str) -> Option<Ipv4Addr> {
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, "00000000", gateway, _, _, _, metric, "00000000", ..] = columns[..] else {
            return None;
        };
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        let gateway = Ipv4Addr::from(gateway.to_ne_bytes());
        let metric: u32 = metric.parse().ok()?;
        (!gateway.is_unspecified()).then_some((metric, gateway))
    };
    let routes = table.lines().skip(1).filter_map(route);
    routes.min().map(|(_, gateway)| gateway)
}

/// What a list of forwarded ports in the gateway says.
const NAME: &str = "twocan";

/// How long a port is asked for, in seconds.
const LEASE: u32 = 3600;

/// A gateway in the same house answers at once or never.
const QUICK: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(250),
    max_retries: 2,
    max_retry_timeout: None,
};

const SEARCH: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_default_route_of_least_metric_is_taken() {
        let table = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                     wlan0 00000000 FE01A8C0 0003 0 0 600 00000000 0 0 0\n\
                     eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n\
                     eth0 0001A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0\n\
                     tun0 00000000 00000000 0001 0 0 50 00000000 0 0 0\n";
        let expected = u32::from_str_radix("0101A8C0", 16).expect("hexadecimal");
        let expected = Ipv4Addr::from(expected.to_ne_bytes());
        assert_eq!(gateway_in(table), Some(expected));
        assert_eq!(gateway_in(""), None);
        assert_eq!(
            gateway_in("Iface\nnonsense\nx 00000000 zz 0 0 0 1 00000000"),
            None
        );
    }

    #[test]
    fn the_outside_of_an_inner_gateway_is_none() {
        let outside = |ip: &str| outside(ip.parse().expect(ip), 4000);
        assert!(outside("203.0.113.7").is_ok() && outside("2001:db8::1").is_ok());
        for inner in [
            "192.168.1.1",
            "10.0.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "127.0.0.1",
        ] {
            let error = outside(inner).expect_err(inner);
            assert!(error.contains(inner), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_said_in_words() {
        let port = NonZeroU16::new(4000).expect("not 0");
        let loopback = Ipv4Addr::LOCALHOST;
        let error = by_pcp(loopback, loopback, port).await.expect_err("nobody");
        assert!(!error.is_empty());
    }
}
