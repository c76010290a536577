//! What simulated pages and readers share: a connection that fails and is made again.

use super::{history::History, world::World};
use crate::{
    model::{
        Millis,
        reconnect::{
            ConnectionEffect, ConnectionEvent, ReconnectPolicy, ReconnectState, TIMER_INTERVAL,
        },
    },
    server::simulation::pipe::Pipe,
};
use rand::{Rng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionFault {
    /// Nothing arrives any more.
    Cut,
    Break,
    /// The client reads nothing.
    Stall {
        ms: u64,
    },
}

pub(super) struct Client<P> {
    pub(super) world: Arc<World>,
    pub(super) history: Arc<History>,
    pub(super) index: usize,
    /// Of the network, in one direction.
    pub(super) delay: Duration,
    pub(super) random: StdRng,
    pub(super) reconnect: ReconnectState<P>,
    pub(super) next_tick: Instant,
    pub(super) stalled_until: Instant,
}

impl<P: ReconnectPolicy> Client<P> {
    pub(super) fn new(
        world: &Arc<World>,
        history: &Arc<History>,
        index: usize,
        policy: P,
        mut random: StdRng,
    ) -> Self {
        Self {
            world: world.clone(),
            history: history.clone(),
            index,
            delay: Duration::from_millis(random.random_range(1..80)),
            random,
            reconnect: ReconnectState::new(policy),
            next_tick: Instant::now(),
            stalled_until: Instant::now(),
        }
    }

    /// Milliseconds since the beginning.
    pub(super) fn now(&self) -> Millis {
        let elapsed = self.world.started_at.elapsed().as_millis();
        Millis::try_from(elapsed).unwrap_or(Millis::MAX)
    }

    /// As a load balancer.
    pub(super) fn choose_node(&mut self) -> usize {
        self.random.random_range(0..self.world.node_count())
    }

    pub(super) fn on_event(&mut self, event: ConnectionEvent) -> Option<ConnectionEffect> {
        let (now, random) = (self.now(), self.random.random());
        self.reconnect.on_event(event, now, random)
    }

    pub(super) fn schedule_tick(&mut self) {
        self.next_tick = Instant::now() + Duration::from_millis(TIMER_INTERVAL.unsigned_abs());
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled_until > Instant::now()
    }

    pub(super) fn inject(&mut self, fault: ConnectionFault, pipe: Option<&Pipe>) {
        match (fault, pipe) {
            (ConnectionFault::Cut, Some(pipe)) => pipe.cut(),
            (ConnectionFault::Break, Some(pipe)) => pipe.break_off(),
            (ConnectionFault::Cut | ConnectionFault::Break, None) => {}
            (ConnectionFault::Stall { ms }, _) => {
                self.stalled_until = Instant::now() + Duration::from_millis(ms);
            }
        }
    }
}
