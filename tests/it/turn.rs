//! The TURN server: what it relays and what it refuses. `end2end/tests/call-networks.spec.ts` tests browsers.

use crate::{
    calls::CallClient,
    metrics::{read_sample, wait_for_sample},
    support::{Certificate, Server, eventually, latencies::Latencies},
};
use rialto::{
    model::{
        CallId, Millis, UserId,
        call::{CallView, ClientAction},
    },
    server::{
        clock, random, tls,
        turn::{
            credentials::{CREDENTIAL_TTL, Credential, RelayPurpose, RelayUser, TurnSecret},
            probe::{Probe, ProbeError},
        },
    },
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

const TURN_SECRET: &str = "a secret of these tests";

/// With a known TURN secret.
async fn start_with_turn(settings: &'static [(&'static str, &'static str)]) -> Server {
    // For the HTTP client that reads the metrics.
    tls::install_crypto_provider();
    Server::start_with(|command| {
        command.args(["--metrics-addr", "127.0.0.1:0"]);
        command.env("RIALTO_TURN_SECRET", TURN_SECRET);
        command.envs(settings.iter().copied());
    })
    .await
}

async fn relay_address(server: &Server) -> SocketAddr {
    parse_turn_url(&server.wait_for_line("TURN relay on ").await)
}

fn issue_credential(user: UserId, now: Millis) -> Credential {
    issue_for(
        user,
        RelayPurpose::MemberCall(CallId(random::new_id())),
        now,
    )
}

fn issue_for(user: UserId, purpose: RelayPurpose, now: Millis) -> Credential {
    TurnSecret::new(TURN_SECRET).issue(RelayUser { user, purpose }, now)
}

fn new_credential() -> Credential {
    issue_credential(UserId(random::new_id()), clock::now())
}

/// `turn:127.0.0.1:3478?transport=udp`.
fn parse_turn_url(url: &str) -> SocketAddr {
    let host = url.trim_start_matches("turn:");
    host.split('?').next().unwrap().parse().unwrap()
}

/// The STUN error code of a refusal.
fn error_code<T: std::fmt::Debug>(result: Result<T, ProbeError>) -> u16 {
    match result {
        Err(ProbeError::Refused(code)) => code,
        other => panic!("not refused: {other:?}"),
    }
}

async fn receives_nothing(client: &mut Probe) -> bool {
    matches!(client.receive().await, Err(ProbeError::Timeout))
}

/// Each with an allocation and a permission for the other.
async fn permitted_pair(relay: SocketAddr, by_tcp: bool) -> [(Probe, SocketAddr); 2] {
    let mut one = if by_tcp {
        Probe::connect_tcp(relay, new_credential()).await.unwrap()
    } else {
        Probe::connect_udp(relay, new_credential()).await.unwrap()
    };
    let mut other = Probe::connect_udp(relay, new_credential()).await.unwrap();
    let (at, there) = (
        one.allocate().await.unwrap(),
        other.allocate().await.unwrap(),
    );
    one.create_permission(there).await.unwrap();
    other.create_permission(at).await.unwrap();
    [(one, at), (other, there)]
}

#[tokio::test]
async fn two_behind_relays_reach_each_other_by_udp_and_by_tcp() {
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    for by_tcp in [false, true] {
        let [(mut one, at), (mut other, there)] = permitted_pair(relay, by_tcp).await;
        one.send_indication(there, b"question").await.unwrap();
        assert_eq!(other.receive().await.unwrap(), b"question");
        other.send_indication(at, b"answer!").await.unwrap();
        assert_eq!(one.receive().await.unwrap(), b"answer!");
        one.bind_channel(0x4000, there).await.unwrap();
        for length in [0, 1, 2, 3, 4, 1_200] {
            let bytes = vec![7; length];
            one.send_channel_data(0x4000, &bytes).await.unwrap();
            assert_eq!(other.receive().await.unwrap(), bytes);
            other.send_indication(at, &bytes).await.unwrap();
            assert_eq!(
                one.receive().await.unwrap(),
                bytes,
                "as ChannelData, with and without padding"
            );
        }
    }
    wait_for_sample(&server, "rialto_relay_bytes_total", |n| n > 4_000).await;
}

#[tokio::test]
async fn whoever_comes_by_ipv6_has_a_relay_of_either_family() {
    let server = start_with_turn(&[
        ("RIALTO_TURN_LISTEN", "[::1]:0"),
        ("RIALTO_TURN_ADDRESS", "127.0.0.1,::1"),
    ])
    .await;
    let relay = relay_address(&server).await;
    assert!(relay.is_ipv6());
    let mut one = Probe::connect_udp(relay, new_credential()).await.unwrap();
    let mut other = Probe::connect_tcp(relay, new_credential()).await.unwrap();
    let (at, there) = (
        one.allocate_v6().await.unwrap(),
        other.allocate_v6().await.unwrap(),
    );
    assert!(at.is_ipv6() && there.is_ipv6());
    one.create_permission(there).await.unwrap();
    other.create_permission(at).await.unwrap();
    one.send_indication(there, b"six").await.unwrap();
    assert_eq!(other.receive().await.unwrap(), b"six");
    let mut four = Probe::connect_udp(relay, new_credential()).await.unwrap();
    assert!(four.allocate().await.unwrap().is_ipv4());
}

#[tokio::test]
async fn a_relay_with_only_ipv6_serves_who_names_no_family() {
    let server = start_with_turn(&[
        ("RIALTO_TURN_LISTEN", "[::1]:0"),
        ("RIALTO_TURN_ADDRESS", "::1"),
    ])
    .await;
    let relay = relay_address(&server).await;
    let mut one = Probe::connect_udp(relay, new_credential()).await.unwrap();
    let mut other = Probe::connect_tcp(relay, new_credential()).await.unwrap();
    let (at, there) = (
        one.allocate().await.unwrap(),
        other.allocate().await.unwrap(),
    );
    assert!(at.is_ipv6() && there.is_ipv6(), "{at} {there}");
    one.create_permission(there).await.unwrap();
    other.create_permission(at).await.unwrap();
    one.send_indication(there, b"six").await.unwrap();
    assert_eq!(other.receive().await.unwrap(), b"six");
}

#[tokio::test]
async fn a_family_that_the_relay_has_no_address_of_is_refused() {
    let server = start_with_turn(&[]).await;
    let mut client = Probe::connect_udp(relay_address(&server).await, new_credential())
        .await
        .unwrap();
    assert_eq!(error_code(client.allocate_v6().await), 440);
}

#[tokio::test]
async fn data_without_a_permission_is_dropped() {
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    let mut one = Probe::connect_udp(relay, new_credential()).await.unwrap();
    let mut other = Probe::connect_udp(relay, new_credential()).await.unwrap();
    let (at, there) = (
        one.allocate().await.unwrap(),
        other.allocate().await.unwrap(),
    );
    // Permissions are per IP address (RFC 8656) and all relays share one, so neither client creates one.
    other.send_indication(at, b"hello").await.unwrap();
    one.send_indication(there, b"hello").await.unwrap();
    assert!(receives_nothing(&mut one).await && receives_nothing(&mut other).await);
}

#[tokio::test]
async fn a_credential_that_has_expired_or_was_never_issued_opens_nothing() {
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    let (ada, bob) = (UserId(random::new_id()), UserId(random::new_id()));
    let expired = issue_credential(ada, clock::now() - CREDENTIAL_TTL - 2_000);
    let forged = Credential {
        password: "a guess".to_owned(),
        ..issue_credential(ada, clock::now())
    };
    let of_another = Credential {
        password: issue_credential(bob, clock::now()).password,
        ..issue_credential(ada, clock::now())
    };
    let longer = Credential {
        username: issue_credential(ada, clock::now() + CREDENTIAL_TTL).username,
        ..issue_credential(ada, clock::now())
    };
    let unknown = Credential {
        username: "admin".to_owned(),
        password: "admin".to_owned(),
    };
    let refused = |why: &str| format!(r#"rialto_relay_refused_total{{reason="{why}"}}"#);
    for (credential, why) in [
        (expired, "expired"),
        (forged, "forged"),
        (of_another, "forged"),
        (longer, "forged"),
        (unknown, "forged"),
    ] {
        let before = read_sample(&server, &refused(why)).await;
        let mut client = Probe::connect_udp(relay, credential).await.unwrap();
        assert_eq!(error_code(client.allocate().await), 401);
        wait_for_sample(&server, &refused(why), |n| n == before + 1).await;
    }
    assert_eq!(read_sample(&server, "rialto_relays").await, 0);
}

#[tokio::test]
async fn a_relay_is_used_by_whoever_opened_it_and_by_nobody_else() {
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    let [(mut one, _), (_, there)] = permitted_pair(relay, false).await;
    let own = new_credential();
    one.set_credential(own);
    assert!([401, 441].contains(&error_code(one.create_permission(there).await)));
    assert!([401, 441].contains(&error_code(one.release().await)));
    assert_eq!(read_sample(&server, "rialto_relays").await, 2);
}

#[tokio::test]
async fn nothing_is_relayed_into_the_network_of_the_server_or_to_itself() {
    const PEER: &str = r#"rialto_relay_refused_total{reason="peer"}"#;
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    let mut client = Probe::connect_udp(relay, new_credential()).await.unwrap();
    client.allocate().await.unwrap();
    for peer in [
        "10.0.0.1:53",
        "172.16.0.1:53",
        "192.168.1.1:80",
        "169.254.169.254:80",
        "127.0.0.2:80",
        "0.0.0.0:80",
        "224.0.0.251:5353",
        "100.64.0.1:80",
    ] {
        let peer = peer.parse().unwrap();
        assert_eq!(
            error_code(client.create_permission(peer).await),
            403,
            "{peer}"
        );
        assert_eq!(
            error_code(client.bind_channel(0x4000, peer).await),
            403,
            "{peer}"
        );
    }
    wait_for_sample(&server, PEER, |n| n == 16).await;
    // Relays share the server's IP address, but only relay ports are reachable at it.
    let service = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = service.local_addr().unwrap();
    client.create_permission(at).await.unwrap();
    client
        .send_indication(at, b"to a service of this machine")
        .await
        .unwrap();
    wait_for_sample(&server, PEER, |n| n == 17).await;
    assert!(service.try_recv(&mut [0; 64]).is_err());
}

#[tokio::test]
async fn nobody_has_more_relays_than_one_may_and_what_is_given_back_is_free_again() {
    const QUOTA: &str = r#"rialto_relay_refused_total{reason="quota"}"#;
    let server = start_with_turn(&[
        ("RIALTO_TURN_USER_RELAYS", "2"),
        ("RIALTO_TURN_RELAYS", "3"),
    ])
    .await;
    let relay = relay_address(&server).await;
    let ada = UserId(random::new_id());
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Probe::connect_udp(relay, issue_credential(ada, clock::now()))
            .await
            .unwrap();
        client.allocate().await.unwrap();
        clients.push(client);
    }
    let mut third = Probe::connect_udp(relay, issue_credential(ada, clock::now()))
        .await
        .unwrap();
    assert_eq!(
        error_code(third.allocate().await),
        486,
        "a user may have two"
    );
    let mut other = Probe::connect_tcp(relay, new_credential()).await.unwrap();
    other.allocate().await.unwrap();
    let mut fourth = Probe::connect_udp(relay, new_credential()).await.unwrap();
    assert_eq!(
        error_code(fourth.allocate().await),
        486,
        "the server may have three"
    );
    wait_for_sample(&server, QUOTA, |n| n == 2).await;
    clients[0].release().await.unwrap();
    wait_for_sample(&server, "rialto_relays", |n| n == 2).await;
    let mut third = Probe::connect_udp(relay, issue_credential(ada, clock::now()))
        .await
        .unwrap();
    third.allocate().await.unwrap();
    // Closing the TCP connection releases its allocation.
    drop(other);
    wait_for_sample(&server, "rialto_relays", |n| n == 2).await;
}

/// Opens relays until one is refused, with which code.
async fn open_relays(relay: SocketAddr, user: UserId, purpose: RelayPurpose) -> (Vec<Probe>, u16) {
    let mut open = Vec::new();
    loop {
        let credential = issue_for(user, purpose, clock::now());
        let mut client = Probe::connect_udp(relay, credential).await.unwrap();
        match client.allocate().await {
            Ok(_) => open.push(client),
            refused => return (open, error_code(refused)),
        }
    }
}

#[tokio::test]
async fn a_connection_test_opens_few_relays_and_strangers_leave_a_share_to_members() {
    let server = start_with_turn(&[("RIALTO_TURN_RELAYS", "24")]).await;
    let relay = relay_address(&server).await;
    let [tester, guest, member] = [(); 3].map(|()| UserId(random::new_id()));
    let (tests, code) = open_relays(relay, tester, RelayPurpose::Test).await;
    assert_eq!((tests.len(), code), (12, 486));
    let call = CallId(random::new_id());
    let (guests, code) = open_relays(relay, guest, RelayPurpose::GuestCall(call)).await;
    assert_eq!(
        (guests.len(), code),
        (6, 486),
        "three quarters of 24 are open"
    );
    let (members, code) = open_relays(relay, member, RelayPurpose::MemberCall(call)).await;
    assert_eq!((members.len(), code), (6, 486));
}

#[tokio::test]
async fn one_address_opens_so_many_relays_and_one_socket_sends_so_many_requests() {
    const REQUESTS: &str = r#"rialto_relay_refused_total{reason="requests"}"#;
    let server = start_with_turn(&[("RIALTO_LIMITS", "turn-relays=3,turn-requests=20/1h")]).await;
    let relay = relay_address(&server).await;
    let call = RelayPurpose::MemberCall(CallId(random::new_id()));
    let (mut open, code) = open_relays(relay, UserId(random::new_id()), call).await;
    assert_eq!((open.len(), code), (3, 508));
    let peer = SocketAddr::from(([8, 8, 8, 8], 9));
    // The handshake took two.
    for _ in 0..18 {
        open[0].create_permission(peer).await.unwrap();
    }
    assert!(
        open[0].create_permission(peer).await.is_err(),
        "it gets no answer"
    );
    assert!(read_sample(&server, REQUESTS).await > 0);
    open[1].create_permission(peer).await.unwrap();
}

#[tokio::test]
async fn more_bytes_than_one_may_send_are_dropped_and_counted() {
    const BANDWIDTH: &str = r#"rialto_relay_refused_total{reason="bandwidth"}"#;
    let server = start_with_turn(&[("RIALTO_TURN_USER_BYTES", "10000")]).await;
    let [(mut one, _), (mut other, there)] =
        permitted_pair(relay_address(&server).await, false).await;
    for _ in 0..30 {
        one.send_indication(there, &[1; 1_000]).await.unwrap();
    }
    wait_for_sample(&server, BANDWIDTH, |n| (15..=22).contains(&n)).await;
    assert_eq!(other.receive().await.unwrap().len(), 1_000);
}

const SIZE: &str = r#"rialto_relay_refused_total{reason="size"}"#;

/// `CreatePermission` for this many peers, unsigned, at most 65,532 bytes of attributes.
fn create_permission(peers: u16) -> Vec<u8> {
    const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
    let mut request = [0x0008_u16.to_be_bytes(), (12 * peers).to_be_bytes()].concat();
    request.extend(MAGIC_COOKIE);
    request.extend([7; 12]);
    for port in 0..peers {
        request.extend([0x00, 0x12, 0x00, 0x08, 0x00, 0x01]);
        request.extend((port ^ 0x2112).to_be_bytes());
        request.extend([8 ^ 0x21, 8 ^ 0x12, 8 ^ 0xA4, 8 ^ 0x42]);
    }
    request
}

#[tokio::test]
async fn a_request_with_thousands_of_peers_ends_its_connection_unread() {
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    let request = create_permission(5_450);
    let attackers = (0..4).map(|_| {
        let request = request.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                let mut stream = TcpStream::connect(relay).await.unwrap();
                // The server may close before everything is written.
                let _ = stream.write_all(&request).await;
                let closed = timeout(Duration::from_secs(10), stream.read(&mut [0; 64])).await;
                assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
            }
        })
    });
    let attackers: Vec<_> = attackers.collect();
    let [(mut one, _), (mut other, there)] = permitted_pair(relay, true).await;
    while !attackers.iter().all(JoinHandle::is_finished) {
        one.send_indication(there, b"media").await.unwrap();
        assert_eq!(other.receive().await.unwrap(), b"media");
    }
    for attacker in attackers {
        attacker.await.unwrap();
    }
    wait_for_sample(&server, SIZE, |n| n == 200).await;
}

/// Of packets from one to the other, at the pace of speech.
async fn relayed_latencies(one: &mut Probe, other: &mut Probe, to: SocketAddr) -> Latencies {
    let mut delays = Vec::new();
    for n in 0..50_u8 {
        let sent = Instant::now();
        one.send_indication(to, &[n; 160]).await.unwrap();
        assert_eq!(other.receive().await.unwrap(), [n; 160]);
        delays.push(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    delays.into()
}

#[tokio::test]
async fn media_keep_their_pace_beside_thousands_of_requests_with_many_peers() {
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    let [(mut one, _), (mut other, there)] = permitted_pair(relay, false).await;
    let quiet = relayed_latencies(&mut one, &mut other, there).await;
    let attackers = (0..4).map(|_| {
        tokio::spawn(async move {
            let [(mut attacker, _), _] = permitted_pair(relay, true).await;
            for _ in 0..500 {
                attacker.write(&create_permission(150)).await.unwrap();
            }
        })
    });
    let attackers: Vec<_> = attackers.collect();
    let beside = relayed_latencies(&mut one, &mut other, there).await;
    for attacker in attackers {
        attacker.await.unwrap();
    }
    assert!(beside.is_within_budget(&quiet, "2,000 requests with 150 peers"));
    wait_for_sample(&server, SIZE, |n| n == 2_000).await;
}

#[tokio::test]
async fn a_request_with_too_many_peers_is_dropped_and_later_ones_are_answered() {
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    for by_tcp in [false, true] {
        let before = read_sample(&server, SIZE).await;
        let [(mut one, _), (_, there)] = permitted_pair(relay, by_tcp).await;
        // 1,824 bytes, too long, and 224 bytes, but one peer too many.
        for peers in [150, 17] {
            one.write(&create_permission(peers)).await.unwrap();
        }
        one.create_permission(there).await.unwrap();
        wait_for_sample(&server, SIZE, |n| n == before + 2).await;
    }
}

#[tokio::test]
async fn nobody_has_more_permissions_and_channels_than_one_may() {
    const QUOTA: &str = r#"rialto_relay_refused_total{reason="quota"}"#;
    let server = start_with_turn(&[]).await;
    let mut client = Probe::connect_udp(relay_address(&server).await, new_credential())
        .await
        .unwrap();
    client.allocate().await.unwrap();
    let peer = |n: u8| SocketAddr::from(([8, 8, 8, n], 9));
    for n in 0..64 {
        client
            .bind_channel(0x4000 + u16::from(n), peer(n))
            .await
            .unwrap();
    }
    assert_eq!(error_code(client.create_permission(peer(64)).await), 508);
    assert_eq!(error_code(client.bind_channel(0x4040, peer(64)).await), 508);
    let other_port = SocketAddr::from(([8, 8, 8, 0], 10));
    assert_eq!(
        error_code(client.bind_channel(0x4040, other_port).await),
        508
    );
    wait_for_sample(&server, QUOTA, |n| n == 3).await;
    client.create_permission(peer(0)).await.unwrap();
    client.bind_channel(0x4000, peer(0)).await.unwrap();
}

#[tokio::test]
async fn one_address_has_a_bounded_number_of_tcp_connections() {
    const CONNECTIONS: &str = r#"rialto_relay_refused_total{reason="connections"}"#;
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    let mut open = Vec::new();
    for _ in 0..513 {
        open.push(TcpStream::connect(relay).await.unwrap());
    }
    wait_for_sample(&server, CONNECTIONS, |n| n == 1).await;
    let mut refused = Probe::with_stream(open.pop().unwrap(), new_credential());
    assert!(refused.allocate().await.is_err());
    // The places of connections that end are free again.
    drop(open);
    eventually("a free place", async || {
        let client = Probe::connect_tcp(relay, new_credential()).await;
        client.unwrap().allocate().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn what_is_no_turn_disturbs_nobody() {
    let server = start_with_turn(&[]).await;
    let relay = relay_address(&server).await;
    let [(mut one, _), (mut other, there)] = permitted_pair(relay, true).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in 0..200 {
        let bytes: Vec<u8> = (0..length)
            .map(|at: u32| (at * 37 + length).to_le_bytes()[0])
            .collect();
        stranger.send_to(&bytes, relay).await.unwrap();
    }
    let mut stranger = Probe::connect_tcp(relay, new_credential()).await.unwrap();
    stranger
        .write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    one.send_indication(there, b"still here").await.unwrap();
    assert_eq!(other.receive().await.unwrap(), b"still here");
}

/// A relay of a participant of a call, as the call's view names it.
async fn relay_in_call(view: CallView) -> (Probe, Credential) {
    let servers = view.rtc_config.unwrap().ice_servers;
    let [server] = servers.as_slice() else {
        panic!("{servers:?}")
    };
    let is_by_tcp = |url: &&String| url.ends_with("=tcp");
    let at = server.urls.iter().find(is_by_tcp).unwrap();
    let credential = Credential {
        username: server.username.clone().unwrap(),
        password: server.credential.clone().unwrap(),
    };
    assert!(credential.username.ends_with(&format!("{}/guest", view.id)));
    let client = Probe::connect_tcp(parse_turn_url(at), credential.clone()).await;
    let mut client = client.unwrap();
    client.allocate().await.unwrap();
    (client, credential)
}

#[tokio::test]
async fn those_in_a_call_have_relays_with_credentials_of_their_own_until_it_ends() {
    let server = start_with_turn(&[]).await;
    let (mut ada, mut bob, mut carol, dan) = (
        CallClient::join(&server, "Ada").await,
        CallClient::join(&server, "Bob").await,
        CallClient::join(&server, "Carol").await,
        CallClient::join(&server, "Dan").await,
    );
    let id = ada.start_call(&bob).await;
    let of_ada = ada.next_view().await;
    assert_eq!(
        bob.next_view().await.rtc_config,
        None,
        "a callee gets no ICE servers before answering"
    );
    bob.send_action(id, ClientAction::Accept).await;
    let (mut relay_of_ada, credential_of_ada) = relay_in_call(of_ada).await;
    let (_relay_of_bob, credential_of_bob) = relay_in_call(bob.next_view().await).await;
    assert_ne!(credential_of_ada, credential_of_bob);
    carol.start_call(&dan).await;
    let (mut relay_of_carol, _) = relay_in_call(carol.next_view().await).await;
    wait_for_sample(&server, "rialto_relays", |n| n == 3).await;
    ada.send_action(id, ClientAction::HangUp).await;
    wait_for_sample(&server, "rialto_relays", |n| n == 1).await;
    let peer = SocketAddr::from(([8, 8, 8, 8], 9));
    assert!(relay_of_ada.create_permission(peer).await.is_err());
    relay_of_carol.create_permission(peer).await.unwrap();
}

fn trust(certificate: &rcgen::Certificate) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn with_a_certificate_it_is_reached_by_tls_as_well() {
    tls::install_crypto_provider();
    let certificate = Certificate::self_signed("rialto.test");
    let (chain, key) = (certificate.chain(), certificate.key());
    let server = Server::start_with(move |command| {
        command
            .env("RIALTO_TURN_SECRET", TURN_SECRET)
            .env("RIALTO_TURN_LISTEN", "127.0.0.1:0")
            .env("RIALTO_TURN_ADDRESS", "127.0.0.1")
            .env("RIALTO_TURN_TLS_LISTEN", "127.0.0.1:0")
            .env("RIALTO_PUBLIC_URL", "https://rialto.test")
            .arg("--turn-certificate")
            .arg(&chain)
            .arg("--turn-key")
            .arg(&key);
    })
    .await;
    let url = server
        .wait_for_line("TURN relay on turns:rialto.test:")
        .await;
    let port: u16 = url.split('?').next().unwrap().parse().unwrap();
    let name = ServerName::try_from("rialto.test").unwrap();
    let connect = async || {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let stream = trust(&certificate.cert)
            .connect(name.clone(), stream)
            .await
            .unwrap();
        Probe::with_stream(stream, new_credential())
    };
    let (mut one, mut other) = (connect().await, connect().await);
    let (at, there) = (
        one.allocate().await.unwrap(),
        other.allocate().await.unwrap(),
    );
    one.create_permission(there).await.unwrap();
    other.create_permission(at).await.unwrap();
    one.send_indication(there, b"under a cover").await.unwrap();
    assert_eq!(other.receive().await.unwrap(), b"under a cover");
}

#[tokio::test]
async fn a_relay_that_is_off_is_not_there_and_nobody_is_told_of_it() {
    let server = start_with_turn(&[("RIALTO_TURN_LISTEN", "off")]).await;
    let (mut ada, bob) = (
        CallClient::join(&server, "Ada").await,
        CallClient::join(&server, "Bob").await,
    );
    ada.start_call(&bob).await;
    assert_eq!(ada.next_view().await.rtc_config.unwrap().ice_servers, []);
}

#[tokio::test]
async fn another_server_is_told_of_with_credentials_that_it_understands() {
    let server = start_with_turn(&[(
        "RIALTO_TURN_URLS",
        "turn:turn.example.org:3478?transport=udp,turns:turn.example.org:5349",
    )])
    .await;
    let (mut ada, bob) = (
        CallClient::join(&server, "Ada").await,
        CallClient::join(&server, "Bob").await,
    );
    ada.start_call(&bob).await;
    let servers = ada.next_view().await.rtc_config.unwrap().ice_servers;
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0].urls.len(), 2);
    assert!(servers[0].credential.is_some());
}
