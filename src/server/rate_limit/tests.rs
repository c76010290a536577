use super::*;
use crate::model::UserId;
use uuid::Uuid;

fn limits(overrides: &str) -> Arc<RateLimits> {
    RateLimits::new(overrides.parse().unwrap(), Arc::default())
}

fn person(n: u128) -> Key {
    Key::Person(UserId(Uuid::from_u128(n)))
}

fn address(text: &str) -> Key {
    Key::address(text.parse().unwrap())
}

#[test]
fn who_takes_too_much_is_told_when_to_try_again_and_costs_nobody_else() {
    let limits = limits("messages=2/100ms");
    let start = Instant::now();
    let take = |millis, who| {
        let charge = Charge::new(Bound::Messages, person(who));
        let taken = limits.take_at(start + Duration::from_millis(millis), [charge].into_iter());
        taken.map_err(|exceeded| exceeded.wait.as_millis())
    };
    assert_eq!([take(0, 1), take(0, 1)], [Ok(()), Ok(())]);
    assert_eq!(take(30, 1), Err(70));
    assert_eq!(take(30, 2), Ok(()));
    assert_eq!(take(100, 1), Ok(()), "after that time");
    let labels = labels(Bound::Messages);
    assert_eq!(limits.metrics.limited.get_or_create(&labels).get(), 1);
}

#[test]
fn of_several_charges_all_are_taken_or_none() {
    let limits = limits("messages=1/1m,renames=2/1h");
    let (message, rename) = (
        Charge::new(Bound::Messages, person(1)),
        Charge::new(Bound::Renames, person(1)),
    );
    limits.take([message, rename]).unwrap();
    let refused = limits.take([message, rename]).unwrap_err();
    assert_eq!(refused.bound, Bound::Messages);
    limits.take([rename]).unwrap();
    let refused = limits.take([message, rename]).unwrap_err();
    assert_eq!(refused.bound, Bound::Renames, "the longer wait");
}

#[test]
fn a_household_and_a_site_share_a_bound_on_ipv6() {
    let limits = limits("sign-ins=2/1h");
    let tries = |address: &str| {
        let charge = Charge::new(Bound::SignIns, Key::address(address.parse().unwrap()));
        (0..100)
            .take_while(|_| limits.take([charge]).is_ok())
            .count()
    };
    assert_eq!(tries("192.0.2.1"), 2);
    assert_eq!(tries("::ffff:192.0.2.1"), 0, "the same address");
    assert_eq!(tries("192.0.2.2"), 2);
    let households = (0..20).map(|n| tries(&format!("2001:db8:1:{n}::7")));
    assert_eq!(households.sum::<usize>(), 16, "eight times as much");
    assert_eq!(tries("2001:db8:2::7"), 2, "another site");
}

#[test]
fn places_are_given_back() {
    let limits = limits("streams=2,websockets=1");
    let stream = |of| Charge::new(Bound::Streams, address(of));
    let socket = Charge::new(Bound::WebSockets, person(1));
    let first = limits.open([stream("192.0.2.1"), socket]).unwrap();
    let refused = limits.open([stream("192.0.2.1"), socket]).unwrap_err();
    assert_eq!(refused.bound, Bound::WebSockets);
    let second = limits.open([stream("192.0.2.1")]).unwrap();
    let refused = limits.open([stream("192.0.2.1")]).unwrap_err();
    assert_eq!(refused.bound, Bound::Streams);
    drop((first, second));
    assert!(limits.places.is_empty(), "nothing is kept");
    limits.open([stream("192.0.2.1"), socket]).unwrap();
}
