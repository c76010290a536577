//! A simulated reader of the news: a page's rules for the event stream, without a browser.

use super::{
    client::{Client, ConnectionFault},
    history::History,
    world::World,
};
use crate::{
    model::{
        Cursor, Seq, StoryId,
        headlines::{ReceiveOutcome, RecentStories},
        reconnect::{ConnectionEffect, ConnectionEvent, DisconnectCause},
        story::Story,
    },
    news::reconnect_policy::StreamPolicy,
    protocol::sse::{HEARTBEAT_EVENT, HELLO_EVENT, Heartbeat, Hello, RESYNC_EVENT, STORY_EVENT},
    server::{simulation::pipe::PipeEnd, store::Stream},
};
use rand::{SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{sleep, sleep_until},
};

const RESYNC_RETRY_DELAY: Duration = Duration::from_secs(1);

/// As the checks see it.
pub(super) struct Reader {
    pub(super) index: usize,
    faults: mpsc::UnboundedSender<ConnectionFault>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) stories: BTreeMap<Seq, StoryId>,
    pub(super) cursor: Option<Cursor>,
    pub(super) is_connected: bool,
}

impl Reader {
    pub(super) fn open(
        world: &Arc<World>,
        history: &Arc<History>,
        index: usize,
        seed: u64,
    ) -> Self {
        let (faults, fault_rx) = mpsc::unbounded_channel();
        let known = Arc::<Mutex<Known>>::default();
        let random = StdRng::seed_from_u64(seed);
        let stream = EventStream {
            client: Client::new(world, history, index, StreamPolicy::new(), random),
            known: known.clone(),
            recent: None,
            connection: None,
            received: Vec::new(),
        };
        tokio::spawn(stream.run(fault_rx));
        Self {
            index,
            faults,
            known,
        }
    }

    pub(super) fn inject(&self, fault: ConnectionFault) {
        // The reader lives as long as this value.
        let _ = self.faults.send(fault);
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

struct EventStream {
    client: Client<StreamPolicy>,
    known: Arc<Mutex<Known>>,
    /// None before the page is rendered.
    recent: Option<RecentStories>,
    connection: Option<PipeEnd>,
    /// Bytes without a whole event.
    received: Vec<u8>,
}

impl EventStream {
    async fn run(mut self, mut faults: mpsc::UnboundedReceiver<ConnectionFault>) {
        self.render().await;
        self.dispatch(ConnectionEvent::Start);
        loop {
            let is_stalled = self.client.is_stalled();
            tokio::select! {
                biased;
                fault = faults.recv() => match fault {
                    Some(fault) => self.on_fault(fault),
                    None => return,
                },
                () = readable(self.connection.as_ref()), if !is_stalled => self.read().await,
                () = sleep_until(self.client.next_tick) => {
                    self.client.schedule_tick();
                    self.dispatch(ConnectionEvent::Timer);
                }
            }
        }
    }

    /// Takes over a rendered page: all stories up to its cursor.
    async fn render(&mut self) {
        loop {
            let node = self.client.choose_node();
            let rendered = self.client.world.request(node, |systems| async move {
                let app = &systems.app;
                let (epoch, seq) = app.event_log.position(Stream::News).await?;
                let events = app.store.list_events(Stream::News, 0, seq).await?;
                let stories = events.iter().map(|event| {
                    let story: Story = serde_json::from_str(&event.payload)?;
                    Ok((story.seq, story.id))
                });
                let stories = stories.collect::<serde_json::Result<BTreeMap<_, _>>>()?;
                Ok::<_, crate::server::Error>((Cursor { epoch, seq }, stories))
            });
            if let Some(Ok((cursor, stories))) = rendered.await {
                let mut known = lock(&self.known);
                known.stories = stories;
                known.cursor = Some(cursor.clone());
                self.recent = Some(RecentStories::new(cursor));
                return;
            }
            sleep(RESYNC_RETRY_DELAY).await;
        }
    }

    fn dispatch(&mut self, event: ConnectionEvent) {
        let Some(effect) = self.client.on_event(event) else {
            return;
        };
        self.connection = None;
        self.received.clear();
        lock(&self.known).is_connected = false;
        match effect {
            ConnectionEffect::Connect => self.connect(),
            ConnectionEffect::BackOff | ConnectionEffect::Close => {}
        }
    }

    fn connect(&mut self) {
        let node = self.client.choose_node();
        let cursor = self.recent.as_ref().map(|recent| recent.cursor().clone());
        let (world, delay) = (&self.client.world, self.client.delay);
        self.connection = world.connect_reader(node, cursor, delay);
        if self.connection.is_none() {
            self.dispatch(ConnectionEvent::Lost(DisconnectCause::ServerUnavailable));
        }
    }

    fn on_fault(&mut self, fault: ConnectionFault) {
        let pipe = self.connection.as_ref().map(PipeEnd::pipe);
        self.client.inject(fault, pipe.as_deref());
        // The timers of a busy page are late too.
        self.client.next_tick = self.client.next_tick.max(self.client.stalled_until);
    }

    async fn read(&mut self) {
        let Some(connection) = &self.connection else {
            return;
        };
        let mut bytes = [0; 4_096];
        match connection.try_read(&mut bytes) {
            Ok(count) if count > 0 => self.received.extend_from_slice(&bytes[..count]),
            Err(why) if why.kind() == ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => {
                let lost = ConnectionEvent::Lost(DisconnectCause::ServerUnavailable);
                return self.dispatch(lost);
            }
        }
        while let Some(block) = self.take_block() {
            self.on_block(&block).await;
        }
    }

    /// The lines up to an empty one: the head of the response, or an event.
    fn take_block(&mut self) -> Option<String> {
        let text = std::str::from_utf8(&self.received).ok()?;
        let (end, next) = match (text.find("\r\n\r\n"), text.find("\n\n")) {
            (Some(end), event) if event.is_none_or(|event| end < event) => (end, end + 4),
            (_, event) => (event?, event? + 2),
        };
        let block = text[..end].to_owned();
        self.received.drain(..next);
        Some(block)
    }

    async fn on_block(&mut self, block: &str) {
        let field = |name: &str| {
            let mut lines = block.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let (Some(event), Some(data)) = (field("event"), field("data")) else {
            return;
        };
        tracing::trace!(reader = self.client.index, event, data, "received");
        self.dispatch(ConnectionEvent::Received);
        match event {
            HELLO_EVENT => {
                let hello: Hello = serde_json::from_str(data).unwrap();
                if hello.recovered {
                    self.dispatch(ConnectionEvent::Welcomed);
                    lock(&self.known).is_connected = true;
                }
            }
            HEARTBEAT_EVENT => {
                let beat: Heartbeat = serde_json::from_str(data).unwrap();
                let policy = &mut self.client.reconnect.policy;
                policy.set_heartbeat_interval(beat.interval_seconds);
            }
            RESYNC_EVENT => {
                self.render().await;
                self.dispatch(ConnectionEvent::Start);
            }
            STORY_EVENT => self.on_story(serde_json::from_str(data).unwrap()),
            other => self
                .client
                .history
                .fail(format!("an unknown event {other:?}")),
        }
    }

    fn on_story(&mut self, story: Story) {
        let Some(recent) = &mut self.recent else {
            return;
        };
        let (seq, id) = (story.seq, story.id);
        match recent.receive(story) {
            ReceiveOutcome::Added => {
                let mut known = lock(&self.known);
                known.stories.insert(seq, id);
                known.cursor = Some(recent.cursor().clone());
            }
            ReceiveOutcome::Duplicate => {}
            ReceiveOutcome::Gap => self.dispatch(ConnectionEvent::Start),
        }
    }
}

async fn readable(connection: Option<&PipeEnd>) {
    match connection {
        Some(connection) => connection.readable().await,
        None => std::future::pending().await,
    }
}
