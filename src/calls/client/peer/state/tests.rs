use super::{
    interface::{ConnectionEvent::*, SdpKind},
    *,
};
use crate::calls::client::{state::video_adaptation::UplinkStats, track_slot::TrackSlot};

/// A fake browser: operations end at once, and timers expire when time advances.
struct Page {
    state: PeerConnectionState,
    moment: Moment,
    timers: Vec<(Millis, Timer)>,
    rejected: Option<SdpKind>,
}

impl Page {
    fn open(side: Side) -> Self {
        let mut page = Self::unopened(side);
        page.on(Opened);
        page
    }

    fn unopened(side: Side) -> Self {
        Self {
            state: PeerConnectionState::new(side, &[], 0),
            moment: Moment {
                now: 0,
                is_page_visible: true,
            },
            timers: Vec::new(),
            rejected: None,
        }
    }

    fn connected(side: Side) -> Self {
        let mut page = Self::open(side);
        if side == Side::Callee {
            page.on(SignalReceived(offer()));
        }
        page.on(Answered(vec![]));
        if side == Side::Caller {
            page.on(SignalReceived(answer()));
        }
        page.on(ConnectionStateChanged(ConnectionState::Connected));
        page.advance(4_000);
        page.on(HeartbeatReceived);
        page
    }

    /// Also runs the resulting operations. Returns all effects but timers.
    fn on(&mut self, event: ConnectionEvent) -> Vec<PeerEffect> {
        let mut all = Vec::new();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.state.on_event(event, self.moment) {
                match &effect {
                    PeerEffect::StartTimer(timer, millis) => {
                        let due = self.moment.now + Millis::from(*millis);
                        self.timers.push((due, *timer));
                        continue;
                    }
                    PeerEffect::Start(operation) => events.push_back(self.run(operation)),
                    _ => {}
                }
                all.push(effect);
            }
        }
        all
    }

    fn run(&self, operation: &Operation) -> ConnectionEvent {
        match operation {
            Operation::CreateOffer { .. } => OperationDone(Some("an offer".to_owned())),
            Operation::CreateAnswer => OperationDone(Some("an answer".to_owned())),
            Operation::SetLocalDescription(kind, _) | Operation::SetRemoteDescription(kind, _)
                if Some(*kind) == self.rejected =>
            {
                OperationFailed
            }
            _ => OperationDone(None),
        }
    }

    fn advance(&mut self, millis: Millis) -> Vec<PeerEffect> {
        let end = self.moment.now + millis;
        let mut effects = Vec::new();
        while let Some(next) = (0..self.timers.len())
            .filter(|index| self.timers[*index].0 <= end)
            .min_by_key(|index| self.timers[*index].0)
        {
            let (due, timer) = self.timers.remove(next);
            self.moment.now = due;
            effects.extend(self.on(TimerFired(timer)));
        }
        self.moment.now = end;
        effects
    }

    /// The browser still reports a connection.
    fn fall_silent(&mut self) -> Vec<PeerEffect> {
        let effects = self.advance(4_000);
        assert_eq!(checks(&effects), [PathCheck::Overdue]);
        self.on(PacketAgeRead(PathCheck::Overdue, Some(4_000.0)))
    }
}

fn offer() -> SignalingMessage {
    SignalingMessage::Offer {
        sdp: "v=0\nm=audio\na=candidate:1\n".to_owned(),
    }
}

fn answer() -> SignalingMessage {
    SignalingMessage::Answer {
        sdp: "their answer".to_owned(),
    }
}

fn pranswer() -> SignalingMessage {
    SignalingMessage::Pranswer {
        sdp: "their pranswer".to_owned(),
    }
}

fn candidate(n: u8) -> IceCandidate {
    IceCandidate {
        candidate: format!("candidate:{n}"),
        sdp_mid: None,
        sdp_m_line_index: Some(0),
    }
}

fn candidate_signal(n: u8) -> SignalingMessage {
    let IceCandidate {
        candidate,
        sdp_mid,
        sdp_m_line_index,
    } = candidate(n);
    SignalingMessage::Candidate {
        candidate,
        sdp_mid,
        sdp_m_line_index,
    }
}

fn start(operation: Operation) -> PeerEffect {
    PeerEffect::Start(operation)
}

fn set_local(kind: SdpKind, sdp: &str) -> PeerEffect {
    start(Operation::SetLocalDescription(kind, sdp.to_owned()))
}

fn set_remote(kind: SdpKind, sdp: &str) -> PeerEffect {
    start(Operation::SetRemoteDescription(kind, sdp.to_owned()))
}

fn restart_offer() -> Vec<PeerEffect> {
    vec![
        start(Operation::CreateOffer { ice_restart: true }),
        set_local(SdpKind::Offer, "an offer"),
        PeerEffect::SendLocalDescription,
        start(Operation::AttachTracks),
    ]
}

fn answer_effects() -> Vec<PeerEffect> {
    vec![
        start(Operation::CreateAnswer),
        set_local(SdpKind::Answer, "an answer"),
        start(Operation::AttachTracks),
    ]
}

fn request_restart() -> PeerEffect {
    PeerEffect::Emit(PeerEvent::SendSignal(SignalingMessage::RestartIce))
}

fn checks(effects: &[PeerEffect]) -> Vec<PathCheck> {
    let check = |effect: &PeerEffect| match effect {
        PeerEffect::ReadPacketAge(check) => Some(*check),
        _ => None,
    };
    effects.iter().filter_map(check).collect()
}

fn events(effects: &[PeerEffect]) -> Vec<PeerEvent> {
    let event = |effect: &PeerEffect| match effect {
        PeerEffect::Emit(event) => Some(event.clone()),
        _ => None,
    };
    effects.iter().filter_map(event).collect()
}

fn count(effects: &[PeerEffect], wanted: &PeerEffect) -> usize {
    effects.iter().filter(|effect| *effect == wanted).count()
}

fn without_periodic(effects: Vec<PeerEffect>) -> Vec<PeerEffect> {
    let is_periodic =
        |effect: &PeerEffect| matches!(effect, PeerEffect::SendHeartbeat | PeerEffect::SampleStats);
    effects
        .into_iter()
        .filter(|effect| !is_periodic(effect))
        .collect()
}

fn has_small_frames(page: &Page) -> bool {
    page.state.camera_settings(720.0).scale_down_by > 1.0
}

fn is_video_active(page: &Page) -> bool {
    let is_active = page.state.camera_settings(720.0).active;
    assert_eq!(is_active, page.state.is_screen_active());
    is_active
}

#[test]
fn the_caller_offers_at_once_and_sends_its_candidates_while_it_rings() {
    let mut caller = Page::unopened(Side::Caller);
    assert_eq!(
        caller.on(Opened),
        [
            PeerEffect::SendHeartbeat,
            PeerEffect::AddTransceivers,
            start(Operation::CreateOffer { ice_restart: false }),
            set_local(SdpKind::Offer, "an offer"),
            PeerEffect::SendLocalDescription,
            start(Operation::AttachTracks),
        ]
    );
    assert_eq!(
        caller.on(CandidateGathered(candidate(1))),
        [PeerEffect::Emit(PeerEvent::SendSignal(candidate_signal(1)))]
    );
    assert_eq!(
        caller.on(SignalReceived(pranswer())),
        [
            set_remote(SdpKind::Pranswer, "their pranswer"),
            start(Operation::ConfigureCamera),
        ]
    );
    assert!(
        !caller.state.is_answered(),
        "no media before somebody answered"
    );
    caller.on(Answered(vec![]));
    assert_eq!(
        caller.on(SignalReceived(answer())),
        [set_remote(SdpKind::Answer, "their answer")]
    );
}

#[test]
fn a_ringing_page_reveals_and_uses_no_address_before_it_answers() {
    let mut callee = Page::open(Side::Callee);
    assert_eq!(
        callee.on(SignalReceived(offer())),
        [
            set_remote(SdpKind::Offer, "v=0\nm=audio\n"),
            PeerEffect::ActivateTransceivers,
            start(Operation::AttachTracks),
            start(Operation::ConfigureCamera),
            start(Operation::CreateAnswer),
            set_local(SdpKind::Pranswer, "an answer"),
            PeerEffect::Emit(PeerEvent::SendSignal(SignalingMessage::Pranswer {
                sdp: "an answer".to_owned()
            })),
        ]
    );
    assert_eq!(callee.on(CandidateGathered(candidate(9))), []);
    assert_eq!(callee.on(SignalReceived(candidate_signal(2))), []);
    let mut expected = vec![
        PeerEffect::SetIceServers(vec![]),
        PeerEffect::SendLocalDescription,
        PeerEffect::AddCandidate(candidate(1)),
        PeerEffect::AddCandidate(candidate(2)),
    ];
    expected.extend(answer_effects());
    assert_eq!(callee.on(Answered(vec![])), expected);
    assert_eq!(callee.on(Answered(vec![])), [], "a call is answered once");
    assert_eq!(
        callee.on(SignalReceived(candidate_signal(3))),
        [PeerEffect::AddCandidate(candidate(3))]
    );
}

#[test]
fn a_hidden_page_prepares_its_answer_and_sends_it_when_it_is_shown() {
    let mut callee = Page::open(Side::Callee);
    callee.moment.is_page_visible = false;
    let effects = callee.on(SignalReceived(offer()));
    assert_eq!(effects.last(), Some(&start(Operation::CreateAnswer)));
    callee.moment.is_page_visible = true;
    assert_eq!(
        callee.on(PageShown)[0],
        set_local(SdpKind::Pranswer, "an answer")
    );
    assert_eq!(callee.on(PageShown), [], "only one");
}

#[test]
fn a_browser_without_provisional_answers_answers_after_acceptance() {
    let mut callee = Page::open(Side::Callee);
    callee.rejected = Some(SdpKind::Pranswer);
    assert_eq!(events(&callee.on(SignalReceived(offer()))), []);
    assert_eq!(
        callee.on(Answered(vec![])),
        [
            PeerEffect::SetIceServers(vec![]),
            PeerEffect::AddCandidate(candidate(1)),
            set_local(SdpKind::Answer, "an answer"),
            PeerEffect::SendLocalDescription,
            start(Operation::AttachTracks),
        ],
        "the prepared answer serves as the final one"
    );
    let mut caller = Page::open(Side::Caller);
    caller.rejected = Some(SdpKind::Pranswer);
    let effects = caller.on(SignalReceived(pranswer()));
    assert_eq!(effects.last(), Some(&start(Operation::ConfigureCamera)));
    assert_eq!(
        caller.on(SignalReceived(answer())),
        [set_remote(SdpKind::Answer, "their answer")]
    );
}

#[test]
fn candidates_that_arrive_before_their_description_wait_for_it() {
    let mut caller = Page::open(Side::Caller);
    caller.on(Answered(vec![]));
    assert_eq!(caller.on(SignalReceived(candidate_signal(1))), []);
    assert_eq!(
        caller.on(SignalReceived(answer())),
        [
            set_remote(SdpKind::Answer, "their answer"),
            PeerEffect::AddCandidate(candidate(1)),
        ]
    );
    let mut callee = Page::open(Side::Callee);
    callee.on(Answered(vec![]));
    assert_eq!(callee.on(SignalReceived(candidate_signal(2))), []);
    let effects = callee.on(SignalReceived(offer()));
    let PeerEffect::Start(Operation::SetRemoteDescription(_, sdp)) = &effects[0] else {
        panic!("{effects:?}")
    };
    assert!(sdp.contains("a=candidate"), "an answered page uses them");
    assert_eq!(effects[1], PeerEffect::AddCandidate(candidate(2)));
}

#[test]
fn signals_wait_for_the_running_operation() {
    let mut callee = Page::open(Side::Callee);
    callee.on(Answered(vec![]));
    let moment = callee.moment;
    let mut on = |event| callee.state.on_event(event, moment);
    let first = on(SignalReceived(offer()));
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(on(SignalReceived(candidate_signal(1))), []);
    assert_eq!(
        on(LocalTrackChanged(TrackSlot::Camera)),
        [],
        "nor does a track"
    );
    assert_eq!(
        on(OperationDone(None)),
        [
            PeerEffect::ActivateTransceivers,
            start(Operation::AttachTracks)
        ]
    );
    on(OperationDone(None));
    on(OperationDone(None));
    on(OperationDone(Some("an answer".to_owned())));
    assert_eq!(
        on(OperationDone(None)),
        [
            PeerEffect::SendLocalDescription,
            start(Operation::AttachTracks)
        ]
    );
    assert_eq!(
        on(OperationDone(None)),
        [
            PeerEffect::AddCandidate(candidate(1)),
            start(Operation::ReplaceTrack(TrackSlot::Camera))
        ]
    );
}

#[test]
fn offers_never_collide_because_the_impolite_side_ignores_them_and_the_polite_one_makes_none() {
    let mut caller = Page::open(Side::Caller);
    assert_eq!(
        caller.on(SignalReceived(offer())),
        [],
        "while its own is unanswered"
    );
    let mut caller = Page::connected(Side::Caller);
    assert_eq!(caller.on(SignalReceived(offer())), [], "nor later");

    let mut callee = Page::connected(Side::Callee);
    let mut effects = callee.on(ConnectionStateChanged(ConnectionState::Failed));
    effects.extend(callee.on(SignalingRestored));
    effects.extend(callee.advance(60_000));
    assert!(count(&effects, &request_restart()) > 3);
    let is_offer = |effect: &PeerEffect| {
        matches!(
            effect,
            PeerEffect::Start(Operation::CreateOffer { .. }) | PeerEffect::SendLocalDescription
        )
    };
    assert!(!effects.iter().any(is_offer), "{effects:?}");
}

#[test]
fn a_repeated_offer_is_answered_once_the_call_is_and_a_repeated_answer_ignored() {
    let mut callee = Page::open(Side::Callee);
    callee.on(SignalReceived(offer()));
    assert_eq!(callee.on(SignalReceived(offer())), [], "while it rings");
    callee.on(Answered(vec![]));
    let effects = callee.on(SignalReceived(offer()));
    assert_eq!(count(&effects, &PeerEffect::SendLocalDescription), 1);

    let mut caller = Page::connected(Side::Caller);
    assert_eq!(caller.on(SignalReceived(answer())), []);
    assert_eq!(caller.on(SignalReceived(pranswer())), []);
}

#[test]
fn what_gets_lost_is_sent_again_or_requested() {
    let mut caller = Page::open(Side::Caller);
    caller.on(Answered(vec![]));
    assert_eq!(without_periodic(caller.advance(4_999)), []);
    assert_eq!(
        without_periodic(caller.advance(1)),
        [PeerEffect::SendLocalDescription],
        "the answer is late"
    );
    let mut callee = Page::open(Side::Callee);
    callee.on(Answered(vec![]));
    assert_eq!(without_periodic(callee.advance(1_499)), []);
    assert_eq!(
        without_periodic(callee.advance(1)),
        [request_restart()],
        "the offer is late"
    );
    let mut callee = Page::connected(Side::Callee);
    assert_eq!(without_periodic(callee.advance(2_000)), []);
}

#[test]
fn before_the_first_answer_an_offer_is_repeated_and_the_restart_follows_the_answer() {
    let mut caller = Page::open(Side::Caller);
    assert_eq!(
        caller.on(SignalingRestored),
        [PeerEffect::SendLocalDescription],
        "the network may have changed while it rings"
    );
    caller.on(Answered(vec![]));
    caller.advance(3_000);
    assert_eq!(
        caller.on(SignalReceived(SignalingMessage::RestartIce)),
        [PeerEffect::SendLocalDescription]
    );
    let mut expected = vec![set_remote(SdpKind::Answer, "their answer")];
    expected.extend(restart_offer());
    assert_eq!(caller.on(SignalReceived(answer())), expected);
    assert_eq!(
        caller.on(SignalReceived(answer())),
        [set_remote(SdpKind::Answer, "their answer")],
        "one restart is enough"
    );

    let mut callee = Page::open(Side::Callee);
    callee.on(SignalReceived(offer()));
    assert_eq!(callee.on(SignalingRestored), []);
    let effects = callee.on(Answered(vec![]));
    assert_eq!(count(&effects, &request_restart()), 1);
}

#[test]
fn a_lost_path_is_restarted_again_and_again_until_it_is_back() {
    let mut caller = Page::connected(Side::Caller);
    assert_eq!(
        caller.on(ConnectionStateChanged(ConnectionState::Disconnected)),
        [PeerEffect::Emit(PeerEvent::Disconnected)],
        "it often recovers by itself"
    );
    assert_eq!(without_periodic(caller.advance(999)), []);
    let mut expected = vec![PeerEffect::Emit(PeerEvent::Lost)];
    expected.extend(restart_offer());
    assert_eq!(without_periodic(caller.advance(1)), expected);
    assert_eq!(
        caller.on(SignalReceived(SignalingMessage::RestartIce)),
        [PeerEffect::SendLocalDescription],
        "a second restart would abort the first"
    );
    caller.on(SignalReceived(answer()));
    let restarts = |effects: &[PeerEffect]| {
        count(
            effects,
            &start(Operation::CreateOffer { ice_restart: true }),
        )
    };
    assert_eq!(restarts(&caller.advance(60_000)), 5, "ever more seldom");
    assert_eq!(
        events(&caller.on(ConnectionStateChanged(ConnectionState::Connected))),
        [PeerEvent::Connected]
    );
    assert_eq!(restarts(&caller.advance(60_000)), 0);
}

#[test]
fn a_path_that_is_back_within_a_second_is_not_restarted() {
    let mut caller = Page::connected(Side::Caller);
    caller.on(ConnectionStateChanged(ConnectionState::Disconnected));
    caller.advance(500);
    caller.on(ConnectionStateChanged(ConnectionState::Connected));
    let effects = caller.advance(2_000);
    assert_eq!(count(&effects, &PeerEffect::SendLocalDescription), 0);
}

#[test]
fn recovery_waits_a_moment_for_new_credentials_if_its_own_are_old() {
    let mut caller = Page::connected(Side::Caller);
    caller.advance(CREDENTIALS_TTL);
    caller.on(HeartbeatReceived);
    let lost = caller.on(ConnectionStateChanged(ConnectionState::Failed));
    assert_eq!(lost, [PeerEffect::Emit(PeerEvent::Lost)]);
    let mut expected = vec![PeerEffect::SetIceServers(vec![])];
    expected.extend(restart_offer());
    assert_eq!(caller.on(IceServersReceived(vec![])), expected);
    assert_eq!(
        caller.on(IceServersReceived(vec![])),
        [PeerEffect::SetIceServers(vec![])],
        "once"
    );

    let mut callee = Page::connected(Side::Callee);
    callee.advance(CREDENTIALS_TTL);
    callee.on(HeartbeatReceived);
    callee.on(ConnectionStateChanged(ConnectionState::Failed));
    assert_eq!(without_periodic(callee.advance(699)), []);
    assert_eq!(without_periodic(callee.advance(1)), [request_restart()]);
}

#[test]
fn a_silent_path_is_lost_and_back_with_the_first_heartbeat() {
    let mut caller = Page::connected(Side::Caller);
    let effects = caller.fall_silent();
    assert_eq!(events(&effects), [PeerEvent::Lost]);
    assert_eq!(count(&effects, &start(Operation::ConfigureEncoders)), 1);
    assert!(!is_video_active(&caller) && !caller.state.is_path_alive());
    caller.advance(1_000);
    assert_eq!(
        count(&caller.advance(1_000), &PeerEffect::SendHeartbeat),
        4,
        "heartbeats are four times as frequent"
    );
    assert_eq!(
        caller.on(HeartbeatReceived),
        [
            PeerEffect::Emit(PeerEvent::Connected),
            start(Operation::ConfigureEncoders)
        ]
    );
    assert!(is_video_active(&caller) && caller.state.is_path_alive());
}

#[test]
fn late_heartbeats_of_a_busy_page_are_no_loss() {
    let mut caller = Page::connected(Side::Caller);
    caller.advance(4_000);
    assert_eq!(
        caller.on(PacketAgeRead(PathCheck::Overdue, Some(200.0))),
        []
    );
    assert!(caller.state.is_path_alive());
    assert_eq!(checks(&caller.advance(1_000)), [PathCheck::Overdue]);
    caller.on(HeartbeatReceived);
    assert_eq!(
        caller.on(PacketAgeRead(PathCheck::Overdue, Some(9_000.0))),
        [],
        "a heartbeat arrived during the check"
    );
    caller.advance(4_000);
    let effects = caller.on(PacketAgeRead(PathCheck::Overdue, None));
    assert_eq!(events(&effects), [PeerEvent::Lost]);
    assert!(
        is_video_active(&caller),
        "without packet statistics, video is not suspended"
    );
}

#[test]
fn no_heartbeat_is_missed_before_the_first_on_a_path() {
    let mut caller = Page::connected(Side::Caller);
    caller.on(ConnectionStateChanged(ConnectionState::Connected));
    assert_eq!(checks(&caller.advance(10_000)), []);
}

#[test]
fn a_path_that_outlives_the_server_connection_has_to_show_activity() {
    let mut caller = Page::connected(Side::Caller);
    assert_eq!(caller.on(SignalingRestored), []);
    caller.advance(500);
    caller.on(HeartbeatReceived);
    assert_eq!(checks(&caller.advance(800)), []);

    let since = caller.moment.now;
    let probe = PathCheck::Probe { since };
    assert_eq!(caller.on(SignalingRestored), []);
    assert_eq!(checks(&caller.advance(1_300)), [probe]);
    assert_eq!(caller.on(PacketAgeRead(probe, Some(1_000.0))), []);

    let probe = PathCheck::Probe {
        since: caller.moment.now,
    };
    assert_eq!(caller.on(SignalingRestored), []);
    assert_eq!(checks(&caller.advance(1_300)), [probe]);
    let effects = caller.on(PacketAgeRead(probe, Some(1_301.0)));
    assert_eq!(events(&effects), [PeerEvent::Lost]);
    assert!(effects.contains(&start(Operation::CreateOffer { ice_restart: true })));
}

#[test]
fn video_starts_small_on_each_path_and_grows_after_two_seconds() {
    let mut caller = Page::open(Side::Caller);
    caller.on(Answered(vec![]));
    caller.on(SignalReceived(answer()));
    assert!(has_small_frames(&caller));
    caller.on(ConnectionStateChanged(ConnectionState::Connected));
    caller.advance(1_000);
    caller.on(ConnectionStateChanged(ConnectionState::Connected));
    let early = without_periodic(caller.advance(1_000));
    assert!(early.is_empty() && has_small_frames(&caller), "{early:?}");
    assert_eq!(
        without_periodic(caller.advance(1_000)),
        [
            start(Operation::PrioritizeAudio),
            start(Operation::ConfigureEncoders)
        ]
    );
    assert!(!has_small_frames(&caller));
    caller.on(ConnectionStateChanged(ConnectionState::Connected));
    assert!(has_small_frames(&caller));
}

#[test]
fn a_suspended_video_does_not_grow() {
    let mut caller = Page::connected(Side::Caller);
    caller.on(ConnectionStateChanged(ConnectionState::Connected));
    caller.on(HeartbeatReceived);
    caller.moment.now += 3_500;
    caller.on(TimerFired(Timer::Heartbeat));
    caller.on(PacketAgeRead(PathCheck::Overdue, Some(3_500.0)));
    assert!(!is_video_active(&caller));
    caller.advance(1);
    assert!(!is_video_active(&caller), "although the ramp-up is over");
}

#[test]
fn a_narrow_uplink_pauses_the_camera_and_both_sides_are_told() {
    let lossy = Some(UplinkStats {
        loss_percent: 25.0,
        available_kbps: None,
    });
    let mut caller = Page::connected(Side::Caller);
    for _ in 0..20 {
        assert_eq!(caller.on(UplinkMeasured(lossy)), [], "no camera is sent");
    }
    let media_state = MediaState {
        camera: true,
        ..MediaState::default()
    };
    caller.on(LocalMediaStateChanged(media_state));
    let mut effects = Vec::new();
    for _ in 0..6 {
        effects.extend(caller.on(UplinkMeasured(lossy)));
    }
    assert_eq!(
        events(&effects),
        [
            VideoQuality::Half,
            VideoQuality::Quarter,
            VideoQuality::Paused
        ]
        .map(PeerEvent::VideoQuality)
    );
    let paused = PeerEffect::SendMediaState(MediaState {
        is_video_paused: true,
        ..media_state
    });
    assert_eq!(count(&effects, &paused), 1);
    assert_eq!(caller.on(MediaStateChannelOpened), [paused]);
    assert!(!caller.state.camera_settings(720.0).active);
    assert_eq!(caller.on(MaxVideoQualityChanged(VideoQuality::Half)), []);
}

#[test]
fn statistics_are_sampled_while_connected() {
    let mut caller = Page::open(Side::Caller);
    let is_sample = |effect: &PeerEffect| *effect == PeerEffect::SampleStats;
    assert!(!caller.advance(6_000).iter().any(is_sample));
    caller.on(ConnectionStateChanged(ConnectionState::Connected));
    assert!(caller.advance(2_000).iter().any(is_sample));
    assert!(
        !caller.advance(6_000).iter().any(is_sample),
        "one at a time"
    );
    caller.on(UplinkMeasured(None));
    assert!(caller.advance(2_000).iter().any(is_sample));
}

#[test]
fn a_missing_path_is_explained_and_a_lost_one_is_not() {
    let is_error = |event: &PeerEvent| matches!(event, PeerEvent::Error(_));
    let mut caller = Page::open(Side::Caller);
    caller.on(Answered(vec![]));
    let effects = caller.advance(10_000);
    assert_eq!(events(&effects).iter().filter(|e| is_error(e)).count(), 1);
    let effects = caller.on(ConnectionStateChanged(ConnectionState::Failed));
    assert!(events(&effects).iter().any(is_error));

    let mut caller = Page::connected(Side::Caller);
    let mut effects = caller.on(ConnectionStateChanged(ConnectionState::Failed));
    effects.extend(caller.advance(10_000));
    assert!(!events(&effects).iter().any(is_error));
}

#[test]
fn browsers_that_cannot_agree_are_reported() {
    for (side, kind, signal) in [
        (Side::Callee, SdpKind::Offer, offer()),
        (Side::Caller, SdpKind::Answer, answer()),
    ] {
        let mut page = Page::open(side);
        page.rejected = Some(kind);
        let effects = page.on(SignalReceived(signal.clone()));
        assert!(
            matches!(effects[1..], [PeerEffect::Emit(PeerEvent::Error(_))]),
            "{effects:?}"
        );
        assert_eq!(
            page.on(SignalReceived(signal))[0],
            effects[0],
            "the next one is tried"
        );
    }
}

#[test]
fn a_connection_closes_once_and_nothing_follows() {
    let mut caller = Page::connected(Side::Caller);
    assert_eq!(caller.on(Closed), [PeerEffect::Close]);
    assert_eq!(caller.on(Closed), []);
    assert!(caller.state.is_closed() && !caller.state.is_path_alive());
    for event in [
        SignalReceived(SignalingMessage::RestartIce),
        SignalingRestored,
        ConnectionStateChanged(ConnectionState::Failed),
        HeartbeatReceived,
        PacketAgeRead(PathCheck::Overdue, None),
        OperationDone(None),
    ] {
        assert_eq!(caller.on(event), []);
    }
    assert_eq!(caller.advance(60_000), [], "no timer goes on");
}
