//! The floor, `bench-floor`. Its deliveries are as long as Rialto's.

use std::process::Command;

use anyhow::Result;

use super::{
    Server, Transport,
    process::{Process, free_address},
};
use crate::load::{http, publish::PublishMethod, sse, subscriber::SubscribeHandshake, ws};

/// Starts the server.
pub fn start(transport: Transport, subscribers: usize) -> Result<Server> {
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let mut command = Command::new(super::sibling_program("bench-floor")?);
    command.arg(address.to_string());
    let mut process = Process::start(&mut command, &folder.path().join("log"))?;
    process.wait_until_listening(address)?;
    let request = match transport {
        Transport::Sse => sse::request("/"),
        Transport::Ws => ws::request("/", ""),
    };
    let handshake = SubscribeHandshake {
        request,
        first_frame: None,
        ready_pattern: b"\r\n\r\n",
    };
    Ok(Server {
        process,
        address,
        handshakes: vec![handshake; subscribers],
        publish_method: Some(PublishMethod::Http {
            address,
            request: Box::new(move |payload, _| {
                http::post_request("/", "", &delivery(transport, payload))
            }),
        }),
        folder,
    })
}

fn delivery(transport: Transport, payload: &str) -> String {
    match transport {
        Transport::Sse => format!(
            "event: story\nid: 1000\ndata: {{\"id\":\"01a20c76-db03-76cc-bfe3-16c30cd4b9f6\",\"slug\":\"{:x<80}\",\
             \"headline\":\"{payload}\",\"summary\":\"\",\"html\":\"\",\"topic\":\"General\",\"urgency\":\"normal\",\
             \"byline\":\"bench\",\"at\":1795505445635,\"seq\":1000}}\n\n",
            "bm00-"
        ),
        Transport::Ws => {
            let text = format!(
                "{{\"type\":\"event\",\"room\":\"01990a3e-1000-7000-8000-000000000001\",\"seq\":1000,\
                 \"event\":\"message\",\"message\":{{\"id\":\"01990a3e-2000-7000-8000-000000000001\",\
                 \"room\":\"01990a3e-1000-7000-8000-000000000001\",\"seq\":1000,\
                 \"author\":{{\"id\":\"01990a3e-0000-7000-8000-00000000000a\",\"name\":\"bench 1000\",\
                 \"role\":\"guest\"}},\"at\":1756800000000,\"content\":{{\"kind\":\"text\",\"text\":\"{payload}\"}}}}}}"
            );
            // `~~~~` stands for the frame header, because a published body is text.
            format!("~~~~{text}")
        }
    }
}
