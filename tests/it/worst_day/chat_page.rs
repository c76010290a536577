//! A page that writes and reads in one room as the browser's does: it pings, gives up a silent connection, reconnects,
//! resumes, and sends again under the same id.

use super::load::{Balancer, Progress};
use crate::support::{Browser, HelloFrame, WsClient, message_id, ws_client};
use rialto::{
    model::{Cursor, MessageId, Seq, message::Message, room::RoomSummary},
    protocol::ws::{ClientFrame, ErrorCode, Refusal, RoomCursor, ServerFrame},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

const WRITE_INTERVAL: Duration = Duration::from_millis(150);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// After a refusal or a failed attempt to connect.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// As `--heartbeat-seconds` of the servers.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// As in the browser.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct ChatPage {
    pub(super) browser: Browser,
    balancer: Balancer,
    room: RoomSummary,
    hello: HelloFrame,
    connection: Option<Connection>,
    pending: Option<PendingMessage>,
    write_at: Instant,
    stop_writing: CancellationToken,
    number: usize,
    progress: Arc<Progress>,
    /// In the order of writing.
    pub(super) written: Vec<MessageId>,
    pub(super) acknowledged: HashMap<MessageId, Seq>,
    /// The event with sequence 1 is the first.
    pub(super) received: Vec<MessageId>,
    pub(super) figures: ChatFigures,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ChatFigures {
    pub(super) refusals: usize,
    pub(super) reconnects: usize,
    pub(super) gaps: usize,
    /// From sending to acknowledgement or refusal, on one connection.
    pub(super) longest_answer: Duration,
}

struct Connection {
    ws: WsClient,
    is_welcomed: bool,
    is_resuming: bool,
    sent_at: Instant,
    awaiting_since: Option<Instant>,
}

struct PendingMessage {
    id: MessageId,
    written_at: Instant,
    /// On the current connection.
    sent_at: Option<Instant>,
    send_at: Instant,
    is_acknowledged: bool,
    is_received: bool,
}

impl Connection {
    /// None when the connection is lost.
    async fn send(&mut self, frame: &ClientFrame) -> Option<()> {
        self.sent_at = Instant::now();
        self.ws.try_send(frame).await.then_some(())
    }

    /// When it is given up, or pinged if no reply is outstanding.
    fn deadline(&self) -> Instant {
        match self.awaiting_since {
            Some(since) => since + REPLY_TIMEOUT,
            None => self.sent_at + PING_INTERVAL,
        }
    }
}

impl ChatPage {
    pub(super) fn new(
        browser: Browser,
        balancer: Balancer,
        room: RoomSummary,
        stop_writing: CancellationToken,
        progress: Arc<Progress>,
        number: usize,
    ) -> Self {
        Self {
            browser,
            balancer,
            room,
            hello: HelloFrame::default(),
            connection: None,
            pending: None,
            write_at: Instant::now(),
            stop_writing,
            number,
            progress,
            written: Vec::new(),
            acknowledged: HashMap::new(),
            received: Vec::new(),
            figures: ChatFigures::default(),
        }
    }

    /// Until writing stops and everything written is settled.
    pub(super) async fn write(mut self) -> Self {
        while !(self.stop_writing.is_cancelled() && self.pending.is_none()) {
            self.step().await;
        }
        self
    }

    /// Until everything up to `head` is received.
    pub(super) async fn read_to(mut self, head: Seq) -> Self {
        while self.cursor().seq < head {
            self.step().await;
        }
        self
    }

    fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.room.epoch.clone(),
            seq: Seq::try_from(self.received.len()).unwrap(),
        }
    }

    async fn step(&mut self) {
        match self.connection.take() {
            Some(connection) => {
                self.connection = self.use_connection(connection).await;
                if self.connection.is_none() {
                    self.figures.reconnects += 1;
                    self.balancer.move_on();
                }
            }
            None => self.connect().await,
        }
    }

    async fn connect(&mut self) {
        let browser = self.browser.at_address(self.balancer.address());
        let opened = timeout(CONNECT_TIMEOUT, WsClient::try_open_socket(&browser)).await;
        let Ok(Ok(ws)) = opened else {
            self.balancer.move_on();
            return sleep(RETRY_DELAY).await;
        };
        self.hello.incarnation += 1;
        let mut connection = Connection {
            ws,
            is_welcomed: false,
            is_resuming: true,
            sent_at: Instant::now(),
            awaiting_since: Some(Instant::now()),
        };
        let hello = ClientFrame::Hello {
            client: self.hello.client,
            cursors: vec![RoomCursor {
                room: self.room.id,
                cursor: self.cursor(),
            }],
            visible: true,
            incarnation: self.hello.incarnation,
        };
        if let Some(pending) = &mut self.pending {
            (pending.sent_at, pending.send_at) = (None, Instant::now());
        }
        if connection.send(&hello).await.is_some() {
            self.connection = Some(connection);
        }
    }

    /// Sends what is due and handles one frame. None when the connection is lost or given up.
    async fn use_connection(&mut self, mut connection: Connection) -> Option<Connection> {
        if connection.is_welcomed {
            self.send_due(&mut connection).await?;
        }
        let until = self.next_send_at(&connection);
        match timeout_at(until, connection.ws.next_frame()).await {
            Ok(Ok(frame)) => {
                connection.awaiting_since = None;
                self.on_frame(&frame, &mut connection).await?;
            }
            Ok(Err(_)) => {
                if !connection.is_welcomed {
                    // The node cannot welcome anybody at the moment.
                    sleep(RETRY_DELAY).await;
                }
                return None;
            }
            Err(_) if connection.deadline() <= Instant::now() => {
                if connection.awaiting_since.is_some() {
                    return None;
                }
                connection.awaiting_since = Some(Instant::now());
                connection.send(&ClientFrame::Ping { n: 0 }).await?;
            }
            Err(_) => {}
        }
        Some(connection)
    }

    fn next_send_at(&self, connection: &Connection) -> Instant {
        let deadline = connection.deadline();
        match &self.pending {
            // Before the welcome, nothing is sent.
            _ if !connection.is_welcomed => deadline,
            Some(pending) if pending.sent_at.is_some() => deadline,
            Some(pending) => pending.send_at.min(deadline),
            None if self.stop_writing.is_cancelled() => deadline,
            None => self.write_at.min(deadline),
        }
    }

    async fn send_due(&mut self, connection: &mut Connection) -> Option<()> {
        let now = Instant::now();
        if self.pending.is_none() && self.write_at <= now && !self.stop_writing.is_cancelled() {
            let id = message_id();
            self.written.push(id);
            self.pending = Some(PendingMessage {
                id,
                written_at: now,
                sent_at: None,
                send_at: now,
                is_acknowledged: false,
                is_received: false,
            });
        }
        if let Some(pending) = &mut self.pending
            && pending.sent_at.is_none()
            && pending.send_at <= now
        {
            pending.sent_at = Some(now);
            let text = format!("{} {}", self.browser.name, self.written.len());
            let frame = ws_client::message_frame(pending.id, self.room.id, &text);
            connection.send(&frame).await?;
        }
        Some(())
    }

    async fn on_frame(&mut self, frame: &ServerFrame, connection: &mut Connection) -> Option<()> {
        match frame {
            ServerFrame::Welcome { .. } => connection.is_welcomed = true,
            ServerFrame::Resumed { recovered, .. } => {
                assert!(
                    recovered,
                    "{}: the cursor was not recovered",
                    self.browser.name
                );
                connection.is_resuming = false;
            }
            ServerFrame::Sent { id, seq, .. } => self.on_acknowledged(*id, *seq),
            ServerFrame::Refused(Refusal {
                id: Some(id),
                code,
                reason,
                ..
            }) => {
                assert_eq!(*code, ErrorCode::Unavailable, "{reason}");
                self.on_refused(*id);
            }
            ServerFrame::Error(Refusal { reason, .. }) => {
                panic!("{}: {reason}", self.browser.name)
            }
            frame => {
                if let Some(message) = ws_client::as_message(frame) {
                    self.on_message(message, connection).await?;
                }
            }
        }
        Some(())
    }

    fn on_acknowledged(&mut self, id: MessageId, seq: Seq) {
        let earlier = self.acknowledged.insert(id, seq);
        assert!(
            earlier.is_none_or(|earlier| earlier == seq),
            "acknowledged with two sequences"
        );
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.id == id) {
            pending.is_acknowledged = true;
            let answer = pending.sent_at.map(|at| at.elapsed()).unwrap_or_default();
            self.figures.longest_answer = self.figures.longest_answer.max(answer);
        }
        self.settle();
    }

    fn on_refused(&mut self, id: MessageId) {
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.id == id) {
            self.figures.refusals += 1;
            let answer = pending.sent_at.map(|at| at.elapsed()).unwrap_or_default();
            self.figures.longest_answer = self.figures.longest_answer.max(answer);
            (pending.sent_at, pending.send_at) = (None, Instant::now() + RETRY_DELAY);
        }
    }

    /// As a timeline: the next one is added, a known one is the same again, and after a gap the page resumes.
    async fn on_message(&mut self, message: &Message, connection: &mut Connection) -> Option<()> {
        if message.room != self.room.id {
            return Some(());
        }
        let index = usize::try_from(message.seq - 1).unwrap();
        if let Some(known) = self.received.get(index) {
            assert_eq!(*known, message.id, "{} has two messages", message.seq);
        } else if index == self.received.len() {
            self.received.push(message.id);
            if let Some(pending) = &mut self.pending {
                pending.is_received |= pending.id == message.id;
            }
            self.settle();
        } else if !connection.is_resuming {
            self.figures.gaps += 1;
            connection.is_resuming = true;
            let (room, cursor) = (self.room.id, self.cursor());
            let cursor = RoomCursor { room, cursor };
            connection.send(&ClientFrame::Resume { cursor }).await?;
        }
        Some(())
    }

    fn settle(&mut self) {
        let is_settled =
            |pending: &mut PendingMessage| pending.is_acknowledged && pending.is_received;
        if let Some(settled) = self.pending.take_if(is_settled) {
            self.progress.on_written(self.number, settled.written_at);
            self.write_at = Instant::now() + WRITE_INTERVAL;
        }
    }
}
