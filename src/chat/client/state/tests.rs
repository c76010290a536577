//! The rules of chat: what a page sends and shows after which frames.

mod fixture;
mod order;

use super::{ChatState, Effect, Timer};
use crate::{
    model::{
        Seq, message::Message, outbox::Delivery, room::RoomSummary, timeline::Timeline,
        user::PersonalSettings,
    },
    protocol::ws::{ClientFrame, ErrorCode, Refusal, ServerFrame},
};
use fixture::{
    Page, event, id, message, mine, person, refused, resumed, room, sent, summary, summary_at,
    welcome,
};

#[test]
fn a_room_that_was_left_loses_its_timeline_but_neither_unsent_nor_unread_messages() {
    let mut page = Page::welcomed((1..=9).map(room));
    let left = room(1);
    page.open(left, 0, Vec::new());
    page.send_message(7, left);
    for other in (2..=9).map(room) {
        page.open(other, 0, Vec::new());
    }
    assert!(page.state.timeline(left).is_none());
    assert_eq!(page.state.outbox().to_send().count(), 1);

    assert_eq!(page.receive(&event(message(8, left, 1))), []);
    assert_eq!(page.unread(left), 1);
    assert_eq!(
        page.unacknowledged(left),
        [id(7)],
        "it waits for its acknowledgement"
    );
    page.receive(&sent(7, left, 2));
    assert!(page.state.outbox().is_empty());
}

#[test]
fn only_the_room_that_cannot_be_resumed_is_fetched_again() {
    let mut page = Page::welcomed([room(1), room(2)]);
    for room in [room(1), room(2)] {
        page.open(room, 5, Vec::new());
    }
    page.receive(&resumed(room(1), true));
    page.receive(&resumed(room(2), false));
    assert_eq!(page.refetched, [room(2)]);
}

#[test]
fn a_timeline_that_cannot_be_resumed_is_shown_unchanged_until_the_room_is_fetched_again() {
    let mut page = Page::welcomed([room(1)]);
    page.open(room(1), 5, vec![message(5, room(1), 5)]);
    page.receive(&resumed(room(1), false));
    assert_eq!(page.receive(&event(message(60, room(1), 60))), []);
    assert_eq!(page.receive(&event(message(6, room(1), 6))), []);
    assert_eq!(page.seqs(room(1)), [5]);
    assert!(page.state.on_open().is_empty(), "there is no cursor of it");
    page.receive(&welcome([room(1)].map(summary)));

    let resumes = page.open(room(1), 60, vec![message(60, room(1), 60)]);
    assert_eq!(resumes, [fixture::resume(room(1), 60)]);
    assert_eq!(page.seqs(room(1)), [60]);
    page.receive(&resumed(room(1), true));
    page.receive(&event(message(61, room(1), 61)));
    assert_eq!(page.seqs(room(1)), [60, 61]);
}

#[test]
fn a_fetched_page_acknowledges_the_messages_it_contains() {
    let mut page = Page::welcomed([room(1)]);
    let here = room(1);
    page.open(here, 0, Vec::new());
    page.send_message(7, here);
    page.send_message(8, here);
    page.receive(&sent(7, here, 2));
    page.receive(&resumed(here, false));
    page.open(here, 2, vec![message(6, here, 1), mine(7, here, 2)]);
    assert_eq!(page.unacknowledged(here), [id(8)]);
}

#[test]
fn a_rendered_page_acknowledges_what_was_saved_before_the_reload() {
    let mut before = Page::welcomed([room(1)]);
    before.send_message(7, room(1));
    before.send_message(8, room(1));
    let mut page = Page::default();
    page.open(room(1), 1, vec![mine(7, room(1), 1)]);
    page.state
        .restore(person(1).id, before.state.outbox().clone());
    assert_eq!(page.unacknowledged(room(1)), [id(8)]);
    page.state.on_open();
    let sends = page.receive(&welcome([room(1)].map(summary)));
    assert_eq!(sends, [fixture::send(8, room(1))]);
}

#[test]
fn a_message_whose_acknowledgement_overtakes_earlier_ones_waits_in_the_outbox() {
    let mut page = Page::welcomed([room(1)]);
    let here = room(1);
    page.open(here, 0, Vec::new());
    page.send_message(7, here);
    assert_eq!(page.receive(&sent(7, here, 2)), []);
    assert_eq!(page.unacknowledged(here), [id(7)]);

    assert_eq!(page.receive(&event(message(8, here, 1))), []);
    assert_eq!(page.receive(&event(mine(7, here, 2))), []);
    assert!(page.state.outbox().is_empty());
    assert_eq!(page.seqs(here), [1, 2]);
}

#[test]
fn a_message_is_shown_once_if_its_acknowledgement_comes_before_its_event() {
    let mut page = Page::welcomed([room(1)]);
    let here = room(1);
    page.open(here, 0, Vec::new());
    page.send_message(7, here);
    page.receive(&sent(7, here, 1));
    assert!(page.state.outbox().is_empty());
    assert_eq!(page.seqs(here), [1]);
    assert_eq!(page.changes(&event(mine(7, here, 1))), ["room"]);
    assert_eq!(page.seqs(here), [1]);
}

#[test]
fn a_message_changes_its_timeline_and_its_room_only() {
    let mut page = Page::welcomed([room(1), room(2)]);
    page.open(room(1), 0, Vec::new());
    let frame = event(message(7, room(1), 1));
    assert_eq!(page.changes(&frame), ["timeline", "room"]);
    assert_eq!(page.changes(&frame), [""; 0]);
    let elsewhere = event(message(8, room(2), 1));
    assert_eq!(page.changes(&elsewhere), ["room"]);
}

#[test]
fn a_gap_is_resumed_once_and_not_for_each_event_after_it() {
    let mut page = Page::welcomed([room(1)]);
    let here = room(1);
    page.open(here, 5, Vec::new());
    page.receive(&resumed(here, true));
    let resume = [fixture::resume(here, 5)];
    assert_eq!(page.receive(&event(message(8, here, 8))), resume);
    assert_eq!(page.receive(&event(message(9, here, 9))), []);
    page.receive(&resumed(here, true));
    for seq in 6..=9_i64 {
        page.receive(&event(message(seq.unsigned_abs().into(), here, seq)));
    }
    assert_eq!(page.seqs(here), [6, 7, 8, 9]);
    let again = [fixture::resume(here, 9)];
    assert_eq!(page.receive(&event(message(11, here, 11))), again);
}

#[test]
fn a_resume_that_the_server_cannot_answer_is_repeated_after_a_backoff() {
    for named in [true, false] {
        let mut page = Page::welcomed([room(1)]);
        let here = room(1);
        let resume = [fixture::resume(here, 5)];
        assert_eq!(page.open(here, 5, Vec::new()), resume);
        let mut refusal = Refusal::new(ErrorCode::Unavailable, "Try later.");
        refusal.room = named.then_some(here);
        page.receive(&ServerFrame::Error(refusal));
        assert_eq!(page.receive(&event(message(8, here, 8))), []);
        assert_eq!(page.fire_timers(), resume);
        page.receive(&resumed(here, true));
        assert_eq!(page.fire_timers(), []);
    }
}

#[test]
fn refusals_of_other_frames_resume_nothing() {
    let mut page = Page::welcomed([room(1)]);
    page.open(room(1), 5, Vec::new());
    let mut of_message = Refusal::new(ErrorCode::RateLimited, "Wait.");
    of_message.id = Some(id(1));
    let malformed = Refusal::new(ErrorCode::Malformed, "Not JSON.");
    for refusal in [of_message, malformed] {
        page.receive(&ServerFrame::Error(refusal));
    }
    assert_eq!(page.fire_timers(), []);
}

#[test]
fn every_timeline_is_resumed_once_on_each_connection() {
    let mut page = Page::default();
    page.open(room(1), 5, Vec::new());
    let rooms = |page: &mut Page| {
        let cursors = page.state.on_open().into_iter();
        cursors.map(|cursor| cursor.room).collect::<Vec<_>>()
    };
    assert_eq!(rooms(&mut page), [room(1)]);
    let opened_meanwhile = page.open(room(2), 7, Vec::new());
    assert_eq!(opened_meanwhile, []);
    let on_welcome = page.receive(&welcome([room(1), room(2)].map(summary)));
    assert_eq!(on_welcome, [fixture::resume(room(2), 7)]);
    for room in [room(1), room(2)] {
        page.receive(&resumed(room, true));
    }
    assert_eq!(page.open(room(1), 5, Vec::new()), []);
    assert_eq!(rooms(&mut page), [room(2), room(1)]);
}

#[test]
fn an_older_page_goes_above_the_timeline() {
    let mut page = Page::welcomed([room(1)]);
    let here = room(1);
    page.open(here, 5, vec![message(5, here, 5)]);
    let effects = page
        .state
        .prepend_page(here, vec![message(4, here, 4)], true);
    assert_eq!(effects, [Effect::TimelineChanged(here)]);
    assert_eq!(page.seqs(here), [4, 5]);
    let oldest = page.state.timeline(here).map(Timeline::oldest_with_older);
    assert_eq!(oldest, Some(Some(4)));
}

#[test]
fn a_page_of_another_user_is_reloaded_and_sends_nothing() {
    let mut before = Page::welcomed([room(1)]);
    before.send_message(7, room(1));
    let mut page = Page::default();
    let saved = before.state.outbox().clone();
    page.state.restore(person(3).id, saved);
    let effects = page.state.on_frame(&welcome([room(1)].map(summary)), 0.0);
    assert_eq!(effects, [Effect::ReloadPage]);
    assert_eq!(page.send_message(8, room(1)), []);
    assert_eq!(page.state.outbox().to_send().count(), 2);
}

#[test]
fn unread_messages_of_others_are_counted_once() {
    let mut page = Page::welcomed([room(1), room(2)]);
    let mut counts = Vec::new();
    for frame in [
        event(message(1, room(1), 1)),
        event(message(2, room(1), 2)),
        event(message(2, room(1), 2)),
        event(mine(3, room(1), 3)),
        event(message(4, room(2), 1)),
        event(message(5, room(9), 1)),
        fixture::read(room(1), 2, 0),
        event(message(6, room(1), 4)),
        ServerFrame::Room {
            room: summary_at(room(1), 4, 4),
        },
    ] {
        page.receive(&frame);
        counts.push((page.unread(room(1)), page.unread(room(2))));
    }
    assert_eq!(
        counts,
        [
            (1, 0),
            (2, 0),
            (2, 0),
            (2, 0),
            (2, 1),
            (2, 1),
            (0, 1),
            (1, 1),
            (0, 1)
        ]
    );
    page.receive(&welcome([room(2)].map(summary)));
    assert!(page.state.room(room(1)).is_none());
    assert_eq!(page.unread(room(2)), 0);
}

#[test]
fn the_count_of_the_server_and_the_events_may_arrive_in_any_order() {
    let read_of_head = |seq, unread, head| ServerFrame::Read {
        room: room(1),
        seq,
        unread,
        head: Some(head),
    };
    let of_others = |seq: Seq| event(message(seq.unsigned_abs().into(), room(1), seq));
    let summary_of_head = |head, read_seq, unread| ServerFrame::Room {
        room: RoomSummary {
            unread,
            ..summary_at(room(1), head, read_seq)
        },
    };
    let cases = [
        (
            "counted before the event",
            vec![read_of_head(1, 2, 3), of_others(2), of_others(3)],
            (3, 1, 2),
        ),
        (
            "counted after the event",
            vec![of_others(1), of_others(2), read_of_head(1, 0, 1)],
            (2, 1, 1),
        ),
        (
            "an earlier count comes last",
            vec![read_of_head(2, 1, 3), read_of_head(2, 0, 2), of_others(3)],
            (3, 2, 1),
        ),
        (
            "an earlier cursor comes last",
            vec![read_of_head(2, 0, 2), read_of_head(1, 1, 2)],
            (0, 2, 0),
        ),
        (
            "a summary after later events",
            vec![of_others(1), of_others(2), summary_of_head(1, 0, 1)],
            (2, 0, 2),
        ),
        (
            "a summary before its events",
            vec![summary_of_head(2, 0, 2), of_others(1), of_others(2)],
            (2, 0, 2),
        ),
        (
            "an earlier count after a summary",
            vec![summary_of_head(3, 1, 2), read_of_head(1, 0, 1)],
            (3, 1, 2),
        ),
        (
            "an event that an earlier count lacks",
            vec![
                summary_of_head(2, 0, 2),
                of_others(2),
                read_of_head(1, 0, 1),
            ],
            (2, 1, 1),
        ),
        (
            "an event that an earlier count lacks comes last",
            vec![
                summary_of_head(2, 0, 2),
                read_of_head(1, 0, 1),
                of_others(2),
            ],
            (2, 1, 1),
        ),
        (
            "an earlier summary comes last",
            vec![summary_of_head(2, 0, 2), summary_of_head(1, 0, 1)],
            (2, 0, 2),
        ),
    ];
    for (case, frames, shown) in cases {
        let mut page = Page::welcomed([room(1)]);
        for frame in &frames {
            page.receive(frame);
        }
        let known = page.state.room(room(1)).unwrap();
        assert_eq!((known.head, known.read_seq, known.unread), shown, "{case}");
    }
}

#[test]
fn a_fetched_page_brings_the_summary_up_to_its_messages() {
    let mut page = Page::welcomed([room(1)]);
    let fetched = summary_at(room(1), 3, 3);
    page.state.open_page(&fetched, Vec::new(), false);
    let known = page.state.room(room(1)).unwrap();
    assert_eq!((known.head, known.read_seq), (3, 3));
}

#[test]
fn while_a_page_is_hydrated_its_rooms_stay_as_rendered() {
    let mut state = ChatState::default();
    state.add_unknown_rooms(&[summary(room(1))]);
    let effects = state.open_page(&summary_at(room(1), 3, 3), Vec::new(), false);
    assert!(!effects.contains(&Effect::RoomChanged(room(1))));
    assert_eq!(state.room(room(1)), Some(&summary(room(1))));
}

#[test]
fn a_read_cursor_that_was_refused_for_now_is_sent_again() {
    let mut page = Page::welcomed([room(1)]);
    page.receive(&event(message(1, room(1), 1)));
    page.state.mark_read(room(1), 1);
    page.state.on_timer(Timer::ReadCursor(room(1)));
    let mut refusal = Refusal::new(ErrorCode::Unavailable, "Try later.");
    refusal.room = Some(room(1));
    let effects = page.state.on_frame(&ServerFrame::Error(refusal), 0.0);
    let timer = Timer::ReadCursor(room(1));
    let starts = |effect: &Effect| matches!(effect, Effect::StartTimer { timer: started, .. } if *started == timer);
    assert!(effects.iter().any(starts), "{effects:?}");
    let read = ClientFrame::Read {
        room: room(1),
        seq: 1,
    };
    assert!(page.state.on_timer(timer).contains(&Effect::Send(read)));
    page.receive(&fixture::read(room(1), 1, 0));
    assert!(page.state.on_timer(timer).is_empty());
}

#[test]
fn a_rendered_list_adds_rooms_and_replaces_none() {
    let mut page = Page::welcomed([room(1)]);
    page.receive(&event(message(1, room(1), 1)));
    let rendered = [summary(room(1)), summary(room(2))];
    let add = |page: &mut Page| page.state.add_unknown_rooms(&rendered);
    assert_eq!(add(&mut page), [Effect::RoomsChanged]);
    assert_eq!(add(&mut page), []);
    let known: Vec<_> = page.state.rooms().iter().map(|known| known.id).collect();
    assert_eq!((known, page.unread(room(1))), (vec![room(1), room(2)], 1));
}

#[test]
fn a_room_is_read_at_once_here_and_once_a_second_on_the_server() {
    let mut page = Page::welcomed([room(1)]);
    let here = room(1);
    let read = |seq| ClientFrame::Read { room: here, seq };
    assert_eq!(page.mark_read(here, 0), [], "nothing is unread");
    for seq in 1..=3_i64 {
        page.receive(&event(message(seq.unsigned_abs().into(), here, seq)));
        let expected = if seq == 1 { vec![read(1)] } else { Vec::new() };
        assert_eq!(page.mark_read(here, seq), expected);
        assert_eq!(page.unread(here), 0);
    }
    assert_eq!(page.mark_read(here, 3), []);
    assert_eq!(page.fire_timers(), [read(3)]);
    assert_eq!(page.fire_timers(), []);
}

#[test]
fn a_read_cursor_that_the_server_did_not_receive_is_sent_on_welcome() {
    let at = |head: Seq, read_seq: Seq| ServerFrame::Room {
        room: fixture::summary_at(room(1), head, read_seq),
    };
    let rooms = |head, read_seq| welcome([fixture::summary_at(room(1), head, read_seq)]);
    let read = ClientFrame::Read {
        room: room(1),
        seq: 4,
    };
    for (confirmed, head, read_seq, expected) in [
        (None, 6, 3, vec![read.clone()]),
        (None, 6, 4, vec![]),
        (None, 6, 5, vec![]),
        // A restored store.
        (None, 3, 3, vec![]),
        (Some(4), 6, 3, vec![]),
        (Some(3), 6, 3, vec![read]),
    ] {
        let mut page = Page::welcomed([room(1)]);
        page.receive(&at(6, 3));
        page.mark_read(room(1), 4);
        assert_eq!(page.fire_timers(), []);
        if let Some(seq) = confirmed {
            page.receive(&fixture::read(room(1), seq, 0));
        }
        page.state.on_open();
        let case = (confirmed, head, read_seq);
        assert_eq!(page.receive(&rooms(head, read_seq)), expected, "{case:?}");
    }
}

#[test]
fn a_read_cursor_that_was_due_without_a_connection_is_sent_on_welcome_at_once() {
    let mut page = Page::welcomed([room(1)]);
    for seq in [1, 2_i64] {
        page.receive(&event(message(seq.unsigned_abs().into(), room(1), seq)));
        page.mark_read(room(1), seq);
    }
    // Dropped: the connection is lost.
    assert_eq!(page.fire_timers().len(), 1);
    page.state.on_open();
    let read = ClientFrame::Read {
        room: room(1),
        seq: 2,
    };
    let rooms = [fixture::summary_at(room(1), 2, 1)];
    assert_eq!(page.receive(&welcome(rooms)), [read]);
}

#[test]
fn a_typing_person_is_shown_until_their_message_or_five_seconds_after_the_last_sign() {
    let mut page = Page::welcomed([room(1)]);
    let typing = ServerFrame::Typing {
        room: room(1),
        person: person(2),
    };
    let shown = |page: &Page| page.state.typing(room(1)).count();
    page.receive(&typing);
    page.receive(&event(message(1, room(1), 1)));
    assert_eq!(shown(&page), 0);
    page.receive(&typing);
    let first = page.timers.clone();
    page.receive(&typing);
    for (timer, delay_ms) in first {
        assert_eq!(delay_ms, 5_000);
        page.state.on_timer(timer);
    }
    assert_eq!(shown(&page), 1, "it was repeated");
    page.fire_timers();
    assert_eq!(shown(&page), 0);
}

#[test]
fn what_was_written_before_the_first_welcome_is_sent_on_it_in_order() {
    let mut page = Page::default();
    for n in [1, 2, 3] {
        assert_eq!(page.send_message(n, room(n % 2)), []);
    }
    page.state.on_open();
    assert_eq!(page.send_message(4, room(0)), []);
    let sends = page.receive(&welcome([room(0), room(1)].map(summary)));
    let expected = [1, 2, 3, 4].map(|n| fixture::send(n, room(n % 2)));
    assert_eq!(sends, expected);
}

#[test]
fn uploads_are_announced_on_every_connection() {
    let mut page = Page::default();
    for _ in 0..2 {
        page.state.on_open();
        let effects = page.state.on_frame(&welcome([]), 0.0);
        assert!(effects.contains(&Effect::ResumeUploads));
    }
}

#[test]
fn a_message_that_breaks_a_rule_waits_for_its_author() {
    let mut page = Page::welcomed([room(1)]);
    page.send_message(1, room(1));
    page.receive(&refused(1, ErrorCode::NoSuchRoom, None));
    let failed = Delivery::Failed {
        reason: "Refused.".to_owned(),
    };
    assert_eq!(page.delivery(1), Some(failed));
    assert_eq!(page.fire_timers(), []);
    page.state.on_open();
    assert_eq!(page.receive(&welcome([room(1)].map(summary))), []);
    let retried = page.apply(|state| state.retry(id(1)));
    assert_eq!(retried, [fixture::send(1, room(1))]);
    assert_eq!(page.delivery(1), Some(Delivery::Pending));
    page.receive(&refused(1, ErrorCode::NoSuchRoom, None));
    assert_eq!(page.apply(|state| state.discard(id(1))), []);
    assert!(page.state.outbox().is_empty());
}

#[test]
fn a_late_timer_of_an_earlier_wait_does_nothing() {
    let mut page = Page::welcomed([room(1)]);
    page.send_message(1, room(1));
    page.receive(&refused(1, ErrorCode::Unavailable, None));
    let stale = page.timers.clone();
    page.state.on_open();
    page.receive(&welcome([room(1)].map(summary)));
    page.receive(&refused(1, ErrorCode::Unavailable, None));
    for (timer, _) in stale {
        assert!(matches!(timer, Timer::Resend { .. }));
        assert_eq!(page.apply(|state| state.on_timer(timer)), []);
    }
    assert_eq!(page.fire_timers(), [fixture::send(1, room(1))]);
}

#[test]
fn a_blocked_person_is_neither_counted_nor_typing() {
    let mut page = Page::welcomed([room(1)]);
    let here = room(1);
    let typing = ServerFrame::Typing {
        room: here,
        person: person(2),
    };
    page.receive(&typing);
    assert_eq!(page.state.typing(here).count(), 1);
    let settings = PersonalSettings {
        blocked: vec![person(2).id],
        ..PersonalSettings::default()
    };
    assert_eq!(
        page.changes(&ServerFrame::Settings { settings }),
        ["typing"]
    );
    assert_eq!(page.state.typing(here).count(), 0);
    page.receive(&event(message(1, here, 1)));
    assert_eq!(page.unread(here), 0);
    let other = Message {
        author: person(3),
        ..message(2, here, 2)
    };
    page.receive(&event(other));
    assert_eq!(page.unread(here), 1);
}

#[test]
fn a_hidden_room_is_shown_with_its_next_message() {
    let mut page = Page::welcomed([room(1)]);
    let hidden = RoomSummary {
        is_hidden: true,
        ..summary(room(1))
    };
    page.receive(&ServerFrame::Room { room: hidden });
    let is_hidden = |page: &Page| page.state.room(room(1)).unwrap().is_hidden;
    assert!(is_hidden(&page));
    page.receive(&event(message(1, room(1), 1)));
    assert!(!is_hidden(&page));
}
