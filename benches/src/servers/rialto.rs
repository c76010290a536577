//! Rialto. Users and a token are created once; every run starts from a copy.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;
use tempfile::TempDir;

use super::{
    Server, Transport,
    process::{Process, free_address},
    shared_services::SharedServices,
};
use crate::{
    clock,
    load::{
        http::{self, Client},
        marker::PAYLOAD_BYTES,
        publish::PublishMethod,
        sse,
        subscriber::SubscribeHandshake,
        ws,
    },
};

/// Acknowledges a `send`.
pub const SENT_PATTERN: &[u8] = b"\"type\":\"sent\"";

/// Connections that pick names at the same time.
const PICKERS: usize = 16;

/// A room and the position of its stream.
#[derive(Debug, Clone)]
pub struct Room {
    /// Id.
    pub id: String,
    /// Epoch of its stream.
    pub epoch: String,
    /// Newest sequence.
    pub head: u64,
}

/// Starts Rialto on copies of a prepared data folder.
#[derive(Debug)]
pub struct RialtoLauncher {
    program: PathBuf,
    user_count: usize,
    prepared: Option<PreparedStore>,
}

#[derive(Debug)]
struct PreparedStore {
    folder: TempDir,
    token: String,
    cookies: Vec<String>,
    general: Room,
}

/// One address is all clients.
const NO_LIMITS: &str = "requests=1000000000,pages=1000000000,sign-ins=1000000000,stream-starts=1000000000,\
    streams=1000000000,connections=1000000000,websockets=1000000,frames=1000000000,resumes=1000000000,messages=1000000000";

impl RialtoLauncher {
    /// Creates `user_count` users.
    pub fn new(program: PathBuf, user_count: usize) -> Self {
        Self {
            program,
            user_count,
            prepared: None,
        }
    }

    /// The version, or why it cannot be measured.
    pub fn version(&self) -> Result<String> {
        let output = Self::command(&self.program).arg("--version").output();
        let output = output.with_context(|| format!("no {}", self.program.display()))?;
        let version = String::from_utf8_lossy(&output.stdout);
        Ok(version.trim().trim_start_matches("rialto ").to_owned())
    }

    /// Starts it on a copy of the prepared folder.
    pub fn start(&mut self, transport: Transport, subscribers: usize) -> Result<Server> {
        self.prepare()?;
        let prepared = self.prepared()?;
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        copy_folder(prepared.folder.path(), &data)?;
        let process = self.serve(&data, free_address()?)?;
        let address = process.address()?;
        Ok(Server {
            process,
            address,
            handshakes: match transport {
                Transport::Sse => vec![news_handshake(""); subscribers],
                Transport::Ws => self.ws_handshakes(subscribers, None)?,
            },
            publish_method: Some(self.publish_method(transport, address, &[])?),
            folder,
        })
    }

    /// Starts it with the n-th user in room n modulo `rooms`.
    ///
    /// Written into the store, because Rialto would make every user a member of a new public room.
    pub fn start_rooms(&mut self, people: usize, rooms: usize) -> Result<Server> {
        self.prepare()?;
        let prepared = self.prepared()?;
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        copy_folder(prepared.folder.path(), &data)?;
        let ids: Vec<String> = (0..rooms).map(|_| uuid()).collect();
        let general = &prepared.general.id;
        let statements: Vec<String> = ids
            .iter()
            .enumerate()
            .map(|(index, id)| room_sql(general, id, index, rooms))
            .collect();
        let sql = format!("BEGIN;{}COMMIT;", statements.concat());
        let output = Command::new("sqlite3")
            .arg(data.join("rialto.sqlite"))
            .arg(&sql)
            .output()
            .context("sqlite3 is not installed")?;
        if !output.status.success() {
            bail!("sqlite3: {}", String::from_utf8_lossy(&output.stderr));
        }
        let process = self.serve(&data, free_address()?)?;
        let address = process.address()?;
        Ok(Server {
            process,
            address,
            handshakes: self.ws_handshakes(people, None)?,
            publish_method: Some(self.publish_method(Transport::Ws, address, &ids)?),
            folder,
        })
    }

    /// Starts nodes with these numbers of clients. The database is empty or holds an earlier copy.
    pub fn start_nodes(
        &mut self,
        shared: &SharedServices,
        clients: &[usize],
    ) -> Result<Vec<Server>> {
        self.prepare()?;
        let prepared = self.prepared()?;
        let copied = Self::command(&self.program)
            .args([
                "migrate-store",
                "--database-url",
                &shared.database,
                "--data",
            ])
            .arg(prepared.folder.path())
            .output()?;
        let why = String::from_utf8_lossy(&copied.stderr);
        if !copied.status.success() && !why.contains("not empty") {
            bail!("the store cannot be copied: {why}");
        }
        let settings = [
            ("RIALTO_DATABASE_URL", shared.database.as_str()),
            ("RIALTO_BUS", shared.bus.as_str()),
        ];
        let node = |clients: &usize| -> Result<Server> {
            let folder = tempfile::tempdir()?;
            let process = self.serve_with(folder.path(), free_address()?, &settings)?;
            let address = process.address()?;
            Ok(Server {
                process,
                address,
                handshakes: self.ws_handshakes(*clients, None)?,
                publish_method: Some(self.publish_method(Transport::Ws, address, &[])?),
                folder,
            })
        };
        clients.iter().map(node).collect()
    }

    /// Restarts it on the same address and data, after it was killed.
    pub fn restart(&self, server: &mut Server) -> Result<()> {
        server.process = self.serve(&server.folder.path().join("data"), server.address)?;
        Ok(())
    }

    /// Publishes stories over SSE, or messages to `rooms`, one per channel (`general` if empty).
    pub fn publish_method(
        &self,
        transport: Transport,
        address: SocketAddr,
        rooms: &[String],
    ) -> Result<PublishMethod> {
        let prepared = self.prepared()?;
        Ok(match transport {
            Transport::Sse => {
                let headers = format!(
                    "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
                    prepared.token
                );
                PublishMethod::Http {
                    address,
                    request: Box::new(move |payload, _| {
                        let (headline, body) = payload.split_at(payload.len().min(PAYLOAD_BYTES));
                        let story = json!({ "headline": headline, "body": body });
                        http::post_request("/api/v1/stories", &headers, &story.to_string())
                    }),
                }
            }
            Transport::Ws => {
                let rooms = if rooms.is_empty() {
                    vec![prepared.general.id.clone()]
                } else {
                    rooms.to_vec()
                };
                PublishMethod::Subscribers {
                    frame: Box::new(move |payload, channel| {
                        let (id, room) = (uuid(), &rooms[channel % rooms.len()]);
                        ws::text_frame(&format!(
                            "{{\"type\":\"send\",\"id\":\"{id}\",\"room\":\"{room}\",\"text\":\"{payload}\"}}"
                        ))
                    }),
                }
            }
        })
    }

    /// Handshakes for `/ws` with separate sessions and client ids, resuming from `cursor`.
    pub fn ws_handshakes(
        &self,
        count: usize,
        cursor: Option<&Room>,
    ) -> Result<Vec<SubscribeHandshake>> {
        let cookies = &self.prepared()?.cookies;
        if cookies.len() < count {
            bail!("only {} users were created", cookies.len());
        }
        Ok(cookies[..count]
            .iter()
            .map(|cookie| ws_handshake(cookie, cursor))
            .collect())
    }

    /// `Cookie` headers, one for each user.
    pub fn cookies(&mut self) -> Result<&[String]> {
        self.prepare()?;
        Ok(&self.prepared()?.cookies)
    }

    /// The first user's `Cookie` header.
    pub fn cookie(&self) -> Result<&str> {
        let cookie = self.prepared()?.cookies.first();
        cookie.map(String::as_str).context("no user was created")
    }

    /// The current position of the room `general`.
    pub fn general(&self, server: &Server) -> Result<Room> {
        let prepared = self.prepared()?;
        let mut client = Client::connect(server.address)?;
        find_room(&mut client, &prepared.cookies[0], "general")
    }

    /// The current position of the news, as a query.
    pub fn news_cursor(&self, server: &Server) -> Result<String> {
        let mut client = Client::connect(server.address)?;
        let state = client
            .expect_success(&http::get_request("/fn/stories", ""))?
            .json()?;
        let epoch = state["epoch"].as_str().context("no epoch")?;
        Ok(format!("?after={}&epoch={epoch}", state["head"]))
    }

    fn prepared(&self) -> Result<&PreparedStore> {
        self.prepared.as_ref().context("Rialto is not prepared")
    }

    fn prepare(&mut self) -> Result<()> {
        if self.prepared.is_some() {
            return Ok(());
        }
        let folder = tempfile::tempdir()?;
        let data = folder.path();
        let mut process = self.serve(data, free_address()?)?;
        let address = process.address()?;
        let output = Self::command(&self.program)
            .args(["token", "create", "bench", "--data"])
            .arg(data)
            .output()?;
        let token = String::from_utf8(output.stdout)?.trim().to_owned();
        let cookies = Mutex::new(vec![String::new(); self.user_count]);
        thread::scope(|scope| {
            let pickers: Vec<_> = (0..PICKERS)
                .map(|picker| {
                    let cookies = &cookies;
                    scope.spawn(move || -> Result<()> {
                        let mut client = Client::connect(address)?;
                        let total = cookies
                            .lock()
                            .map_err(|_| anyhow!("a picker panicked"))?
                            .len();
                        for user in (picker..total).step_by(PICKERS) {
                            let cookie = pick_name(&mut client, &format!("bench {user}"))?;
                            cookies.lock().map_err(|_| anyhow!("a picker panicked"))?[user] =
                                cookie;
                        }
                        Ok(())
                    })
                })
                .collect();
            pickers
                .into_iter()
                .try_for_each(|picker| picker.join().map_err(|_| anyhow!("a picker panicked"))?)
        })
        .context("creating users")?;
        let cookies = cookies.into_inner()?;
        let mut client = Client::connect(address)?;
        let general = match cookies.first() {
            Some(cookie) => find_room(&mut client, cookie, "general")?,
            None => Room {
                id: String::new(),
                epoch: String::new(),
                head: 0,
            },
        };
        drop(client);
        process.stop(Duration::from_secs(15));
        self.prepared = Some(PreparedStore {
            folder,
            token,
            cookies,
            general,
        });
        Ok(())
    }

    /// The program without this one's settings, which it would refuse.
    fn command(program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RIALTO_") && name != "RIALTO_DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command
    }

    fn serve(&self, data: &Path, address: SocketAddr) -> Result<Process> {
        self.serve_with(data, address, &[])
    }

    fn serve_with(
        &self,
        data: &Path,
        address: SocketAddr,
        settings: &[(&str, &str)],
    ) -> Result<Process> {
        let program = fs::canonicalize(&self.program)?;
        let beside = program.with_file_name("site");
        let above = program
            .parent()
            .and_then(Path::parent)
            .unwrap_or(Path::new("/"))
            .join("site");
        let site = if beside.is_dir() { beside } else { above };
        fs::create_dir_all(data)?;
        let mut command = Self::command(&program);
        command
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .env("LEPTOS_SITE_ROOT", site)
            .env("RIALTO_LIMITS", NO_LIMITS)
            .envs(settings.iter().copied());
        let mut process = Process::start(&mut command, &data.join("bench.log"))?;
        process.wait_until_listening(address)?;
        Ok(process)
    }
}

/// The handshake for the news stream.
pub fn news_handshake(query: &str) -> SubscribeHandshake {
    SubscribeHandshake {
        request: sse::request(&format!("/news/events{query}")),
        first_frame: None,
        ready_pattern: b"event: hello",
    }
}

/// A handshake for `/ws` as the user of this cookie, resuming from `cursor`.
pub fn ws_handshake(cookie: &str, cursor: Option<&Room>) -> SubscribeHandshake {
    let cursors: Vec<_> = cursor
        .map(|room| json!({ "room": room.id, "epoch": room.epoch, "seq": room.head }))
        .into_iter()
        .collect();
    let hello = json!({ "type": "hello", "client": uuid(), "cursors": cursors });
    SubscribeHandshake {
        request: ws::request(
            "/ws",
            &format!("Sec-WebSocket-Protocol: rialto.v1\r\nCookie: {cookie}\r\n"),
        ),
        first_frame: Some(ws::text_frame(&hello.to_string())),
        ready_pattern: b"\"type\":\"welcome\"",
    }
}

/// The request that picks a name.
pub fn pick_name_request(name: &str) -> Vec<u8> {
    http::post_request(
        "/fn/pick-name",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        &format!("name={}&next=/", name.replace(' ', "+")),
    )
}

fn pick_name(client: &mut Client, name: &str) -> Result<String> {
    let response = client.expect_success(&pick_name_request(name))?;
    let cookie = response.header("set-cookie").context("no cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// With every user whose number fits.
fn room_sql(general: &str, id: &str, index: usize, rooms: usize) -> String {
    format!(
        "INSERT INTO rooms SELECT '{id}', 'bench-{index}', 'bench {index}', kind, NULL, created_at \
         FROM rooms WHERE id = '{general}';\
         INSERT INTO streams SELECT replace(name, '{general}', '{id}'), epoch, 0, 1 \
         FROM streams WHERE name LIKE '%{general}';\
         UPDATE memberships SET room_id = '{id}' WHERE user_id IN (SELECT id FROM users \
         WHERE name LIKE 'bench %' AND CAST(substr(name, 7) AS INTEGER) % {rooms} = {index});"
    )
}

fn find_room(client: &mut Client, cookie: &str, slug: &str) -> Result<Room> {
    let headers =
        format!("Content-Type: application/x-www-form-urlencoded\r\nCookie: {cookie}\r\n");
    let page = client
        .expect_success(&http::post_request(
            "/fn/room",
            &headers,
            &format!("slug={slug}"),
        ))?
        .json()?;
    let room = &page["room"];
    Ok(Room {
        id: room["id"].as_str().context("no room")?.to_owned(),
        epoch: room["epoch"].as_str().context("no epoch")?.to_owned(),
        head: room["head"].as_u64().context("no head")?,
    })
}

/// A UUIDv7: the time, the process, and a number unique in it.
pub fn uuid() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (millis, process) = (clock::unix_millis(), std::process::id());
    format!(
        "{:08x}-{:04x}-7{:03x}-8{:03x}-{number:012x}",
        millis >> 16,
        millis & 0xffff,
        process >> 12 & 0xfff,
        process & 0xfff
    )
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
