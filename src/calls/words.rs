//! What the dock says of a call while it goes on.

use super::client::{
    Path,
    board::{Gathered, Scene, Target},
};
use crate::model::{
    Millis,
    call::{CallView, State, outcome_text},
};

/// Where the call stands, as the person at this page reads it. `online` says whether the server can be reached.
#[must_use]
pub fn state_text(scene: &Scene, path: Path, online: bool) -> String {
    match scene {
        Scene::Quiet => String::new(),
        Scene::Preview(preview) => match &preview.to {
            Target::Person(with) => format!("Call {}?", with.name),
            Target::Room(place) => format!("Join the call in {}?", place.title),
        },
        Scene::Joining { place, .. } if online => format!("Joining the call in {}…", place.title),
        Scene::Joining { .. } => {
            "No connection to the server. You join the call when it is back.".to_owned()
        }
        Scene::Gathered(gathered) => group_text(gathered),
        Scene::Out(place) => format!("You are not in the call in {} any more.", place.title),
        Scene::Starting { with, .. } if online => format!("Calling {}…", with.name),
        Scene::Starting { .. } => {
            "No connection to the server. The call starts when it is back.".to_owned()
        }
        Scene::Ringing(view) => incoming_text(view),
        Scene::Answering(_) if online => "Answering…".to_owned(),
        Scene::Answering(_) => {
            "No connection to the server. The call is answered when it is back.".to_owned()
        }
        Scene::Holding(held) => holding_text(&held.view, path, online),
        Scene::Ended(farewell) => outcome_text(
            farewell.outcome,
            farewell.side,
            farewell.media,
            farewell.lasted,
        ),
    }
}

/// Who is in the call, in numbers.
fn group_text(gathered: &Gathered) -> String {
    match gathered.view.members.len() {
        0 | 1 => "Nobody else is here yet".to_owned(),
        people => format!("{people} people"),
    }
}

fn holding_text(view: &CallView, path: Path, online: bool) -> String {
    match (view.state, path) {
        (State::Dialing | State::Ringing, _) if !online => {
            "No connection to the server. Trying again…".to_owned()
        }
        (State::Dialing, _) => format!("Calling {}…", view.peer().name),
        (State::Ringing, _) => "Ringing…".to_owned(),
        (State::Connecting, _) => "Connecting…".to_owned(),
        // The page knows of a loss sooner than the server, which it may not even reach.
        (State::Connected, Path::Looking | Path::Found) => "Connected".to_owned(),
        (State::Connected, Path::Lost) | (State::Reconnecting, _) => "Reconnecting…".to_owned(),
        (State::Ended { .. }, _) => String::new(),
    }
}

/// Who calls, and how.
#[must_use]
pub fn incoming_text(view: &CallView) -> String {
    format!("{} from {}", view.media.noun(), view.caller.name)
}

/// A running time: `0:05`, `12:34`, `1:02:03`. Negative counts as none.
#[must_use]
pub fn clock_text(millis: Millis) -> String {
    let seconds = millis.max(0) / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_reads_like_one() {
        let texts = [-1, 5_000, 754_000, 3_723_000].map(clock_text);
        assert_eq!(texts, ["0:00", "0:05", "12:34", "1:02:03"]);
    }
}
