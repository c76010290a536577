//! The proxies of `deploy/` and of the compose files hand on the addresses of clients.

use crate::support::{Server, eventually, programs::find_server_program};
use ipnet::IpNet;
use rialto::server::tls;
use std::{fs, net::IpAddr, path::Path, process::Stdio};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(REPOSITORY).join(file)).unwrap()
}

/// `deploy/nginx.conf` in front of one node; killed on drop.
struct Nginx {
    _process: Child,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Nginx {
    async fn start(program: &Path, server: &Server) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let mut config = read("deploy/nginx.conf");
        let mut change = |from: &str, to: String| {
            assert!(config.contains(from), "deploy/nginx.conf has no {from:?}");
            config = config.replacen(from, &to, 1);
        };
        // One process, so that it ends with the test.
        let own =
            format!("daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr warn;");
        change("worker_processes auto;", own);
        change("worker_rlimit_nofile 40000;", String::new());
        change(
            "worker_connections 16384;",
            "worker_connections 64;".to_owned(),
        );
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {at}/{name};"));
        change("http {", format!("http {{\n{}", temporary.join("\n")));
        change(
            "server rialto1:3000",
            format!("server {}", server.address()),
        );
        change(
            "server rialto2:3000 max_fails=1 fail_timeout=2s;",
            String::new(),
        );
        change(
            "server rialto3:3000 max_fails=1 fail_timeout=2s;",
            String::new(),
        );
        change("listen 8080;", format!("listen 127.0.0.1:{port};"));
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let process = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("nginx listens", async || {
            TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        Self {
            _process: process,
            _folder: folder,
            port,
        }
    }

    /// A wrong password from this address, with a made-up `X-Forwarded-For`. Returns the status.
    async fn try_sign_in(&self, from: [u8; 4], forwarded_for: &str) -> u16 {
        tls::install_crypto_provider();
        let client = reqwest::Client::builder()
            .local_address(IpAddr::from(from))
            .build()
            .unwrap();
        let form = [("name", "Ada"), ("password", "a guess"), ("next", "/")];
        let request = client
            .post(format!("http://127.0.0.1:{}/fn/sign-in", self.port))
            .header("accept", "application/json")
            .header("x-forwarded-for", forwarded_for)
            .form(&form);
        request.send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn behind_nginx_an_address_has_limits_of_its_own_and_cannot_take_those_of_another() {
    let Some(program) = find_server_program("nginx") else {
        println!("skipped: nginx is not installed");
        return;
    };
    let server = Server::start_with(|command| {
        // Not all of 127.0.0.0/8: the clients are there too.
        command.args([
            "--limits",
            "sign-ins=2/1h",
            "--trusted-proxies",
            "127.0.0.1",
        ]);
    })
    .await;
    let nginx = Nginx::start(&program, &server).await;
    let (mallory, grace) = ([127, 0, 0, 2], [127, 0, 0, 3]);
    for (forwarded_for, status) in [("192.0.2.7", 422), ("192.0.2.8", 422), ("192.0.2.9", 429)] {
        assert_eq!(nginx.try_sign_in(mallory, forwarded_for).await, status);
    }
    assert_eq!(nginx.try_sign_in(grace, "127.0.0.2").await, 422);
}

/// The text after `key` on its line.
fn value<'a>(file: &'a str, key: &str) -> &'a str {
    let (_, rest) = file.split_once(key).unwrap();
    rest.split(['\n', ' ', '}', ']'])
        .next()
        .unwrap()
        .trim_end_matches(',')
}

#[test]
fn the_compose_files_trust_the_addresses_that_their_proxies_connect_from() {
    let trusted = |file: &str| -> Vec<IpNet> {
        let list = value(file, "RIALTO_TRUSTED_PROXIES: ").split(',');
        list.map(|network| {
            let address = network.parse::<IpAddr>().map(IpNet::from);
            address.unwrap_or_else(|_| network.parse().unwrap())
        })
        .collect()
    };
    // Docker connects from the gateway to a published port.
    let single = read("compose.yaml");
    let gateway: IpAddr = value(&single, "gateway: ").parse().unwrap();
    assert!(
        trusted(&single)
            .iter()
            .any(|network| network.contains(&gateway))
    );
    let subnet: IpNet = value(&single, "subnet: ").parse().unwrap();
    assert!(subnet.contains(&gateway));
    let is_whole = |network: &IpNet| network.contains(&subnet);
    assert!(
        !trusted(&single).iter().any(is_whole),
        "no other container is a proxy"
    );
    // nginx has an address of the subnet.
    let cluster = read("compose.cluster.yaml");
    let subnet: IpNet = value(&cluster, "subnet: ").parse().unwrap();
    assert!(trusted(&cluster).contains(&subnet));
}
