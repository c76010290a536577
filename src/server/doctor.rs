//! Self-test of the store, its backups, and whether calls can connect. Checks of calls act as a browser would, from this machine.

mod public_url;
mod relay;

use super::{
    AppState,
    backup::periodic,
    config::Config,
    rate_limit::Bound,
    turn::address::{self, AddressSource},
};
use crate::model::finding::Finding;
use public_url::check_public_url;
use relay::check_relays;
use std::{net::IpAddr, time::Duration};
use tokio::time::timeout;

const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Credentials last ten minutes.
const MAX_CLOCK_OFFSET_MS: i64 = 30_000;
/// Runs all checks. Takes some seconds if a server does not answer.
pub async fn run_checks(app: &AppState) -> Vec<Finding> {
    let config = &app.config;
    let (store, site, clock, addresses, relays) = tokio::join!(
        check_store(app),
        check_public_url(config),
        check_clock(config),
        check_relay_addresses(app),
        check_relays(app)
    );
    let mut findings = vec![
        store,
        periodic::check(app),
        check_connections(app),
        check_https(config),
    ];
    findings.extend(site);
    findings.push(clock);
    findings.extend(addresses);
    findings.extend(relays);
    findings
}

async fn check_store(app: &AppState) -> Finding {
    const CHECK_NAME: &str = "Store";
    match app.store.check().await {
        Ok(()) => Finding::ok(CHECK_NAME, "Working."),
        Err(why) => Finding::problem(
            CHECK_NAME,
            format!("Cannot be read or written: {why}."),
            "Check that the database runs and the disk is not full.",
        ),
    }
}

/// Warns from four fifths on.
fn check_connections(app: &AppState) -> Finding {
    const CHECK_NAME: &str = "Connections";
    let (open, most) = app.limits.usage(Bound::AllConnections);
    let state = format!("{open} of at most {most} are open.");
    if u64::from(open) * 5 < u64::from(most) * 4 {
        return Finding::ok(CHECK_NAME, state);
    }
    Finding::warning(
        CHECK_NAME,
        state,
        "Raise the limit of open files (LimitNOFILE= of systemd, ulimit -n), or add a node. Further connections are refused.",
    )
}

fn check_https(config: &Config) -> Finding {
    const CHECK_NAME: &str = "HTTPS";
    match &config.public_url {
        Some(url) if config.is_https() => Finding::ok(CHECK_NAME, format!("Public URL: {url}.")),
        Some(url) if config.has_local_url() => Finding::ok(
            CHECK_NAME,
            format!("The public URL is {url}, which browsers on this machine treat as secure."),
        ),
        Some(url) => Finding::problem(
            CHECK_NAME,
            format!(
                "The public URL is {url}. Browsers block camera and microphone on pages without https."
            ),
            "Put a TLS proxy in front, and set --public-url to its https URL.",
        ),
        None if config.listen_address().ip().is_loopback() => Finding::ok(
            CHECK_NAME,
            "Only this machine can open the pages, and its browsers treat them as secure.",
        ),
        None => Finding::problem(
            CHECK_NAME,
            format!(
                "The public URL is http://{}. Browsers block camera and microphone on pages without https.",
                config.listen_address()
            ),
            "Put a TLS proxy in front, and set --public-url to its https URL.",
        ),
    }
}

async fn check_clock(config: &Config) -> Finding {
    const CHECK_NAME: &str = "Clock";
    let server = config.time_server.as_str();
    if server == super::turn::config::OFF {
        return Finding::warning(
            CHECK_NAME,
            "Not checked, because --time-server is off.",
            "Make sure that the system synchronises its clock: TURN credentials last ten minutes.",
        );
    }
    let client = rsntp::AsyncSntpClient::new();
    let asked = timeout(CHECK_TIMEOUT, client.synchronize(server)).await;
    let Ok(Ok(answer)) = asked else {
        return Finding::warning(
            CHECK_NAME,
            format!("Not checked: {server} does not answer."),
            "Make sure that the system synchronises its clock (see timedatectl): TURN credentials last ten minutes.",
        );
    };
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds fit")]
    let off = (answer.clock_offset().as_secs_f64() * 1_000.0) as i64;
    if off.abs() > MAX_CLOCK_OFFSET_MS {
        Finding::problem(
            CHECK_NAME,
            format!("{} s off, compared with {server}.", off.abs() / 1_000),
            "Turn clock synchronisation on: timedatectl set-ntp true.",
        )
    } else {
        Finding::ok(
            CHECK_NAME,
            format!("{} ms off, compared with {server}.", off.abs()),
        )
    }
}

async fn check_relay_addresses(app: &AppState) -> Vec<Finding> {
    const CHECK_NAME: &str = "TURN address";
    let Some(ice) = app.ice.get() else {
        return Vec::new();
    };
    let stun = Some(app.config.turn.stun_server.as_str())
        .filter(|server| *server != super::turn::config::OFF);
    let mut findings = Vec::new();
    for (address, source) in ice.relay_addresses() {
        let is_public = super::turn::is_public(*address);
        findings.push(match source {
            AddressSource::LocalOnly if address.is_loopback() => Finding::ok(
                CHECK_NAME,
                format!("{address} is reachable only from this machine, like the pages."),
            ),
            AddressSource::LocalOnly => Finding::problem(
                CHECK_NAME,
                format!("{address} is reachable only from the local network."),
                "Set --turn-address to the public address of this machine.",
            ),
            AddressSource::Configured if !is_public => Finding::warning(
                CHECK_NAME,
                format!("{address} is set, but it is not a public address."),
                "For calls over the internet, set --turn-address to the public address of this machine.",
            ),
            AddressSource::Configured => match stun {
                Some(server) => check_stun_address(*address, server).await,
                None => Finding::ok(CHECK_NAME, format!("{address} is set.")),
            },
            AddressSource::Interface => Finding::ok(CHECK_NAME, format!("{address} is an address of this machine.")),
            AddressSource::StunServer(by) => Finding::ok(CHECK_NAME, format!("{by} reports {address}.")),
        });
    }
    findings
}

async fn check_stun_address(set: IpAddr, server: &str) -> Finding {
    const CHECK_NAME: &str = "TURN address";
    match address::find_reflexive_ip(server).await {
        Some(seen) if seen == set || set.is_ipv6() => Finding::ok(
            CHECK_NAME,
            format!("{set} is set, and {server} confirms it."),
        ),
        Some(seen) => Finding::warning(
            CHECK_NAME,
            format!("{set} is set, but according to {server} this machine has {seen}."),
            "Check which of them is reachable, and set --turn-address to it.",
        ),
        None => Finding::ok(
            CHECK_NAME,
            format!("{set} is set. Not confirmed: {server} does not answer."),
        ),
    }
}
