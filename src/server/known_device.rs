//! Browsers in which somebody has signed in to an account before: guesses from elsewhere do not lock its owner out of them.
//!
//! After OWASP, "Slow Down Online Guessing Attacks with Device Cookies". The cookie's value is `<device>.<HMAC-SHA256>`
//! (RFC 2104) of account and device, in hexadecimal.

use super::{
    AppState,
    error::Result,
    random,
    session::{add_header, request_cookie},
};
use crate::model::UserId;
use axum::http::{HeaderValue, header};
use axum_extra::extract::cookie::{Cookie, SameSite};
use ring::hmac;

const DEVICE_COOKIE: &str = "rialto_device";
const DEVICE_SECRET_SETTING: &str = "device_secret";
const COOKIE_DAYS: i64 = 365;

async fn key(app: &AppState) -> Result<hmac::Key> {
    let secret = app
        .store
        .find_or_create_setting(DEVICE_SECRET_SETTING, random::new_token)
        .await?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
}

fn signed_text(user: UserId, device: &str) -> String {
    format!("{}/{device}", user.0)
}

/// The device of the current request, if it is known to this account.
///
/// # Errors
/// When the store fails.
pub async fn find(app: &AppState, user: UserId) -> Result<Option<String>> {
    let Some(cookie) = request_cookie(DEVICE_COOKIE) else {
        return Ok(None);
    };
    let key = key(app).await?;
    Ok(verify(&key, user, &cookie).map(str::to_owned))
}

pub(crate) fn verify<'a>(key: &hmac::Key, user: UserId, cookie: &'a str) -> Option<&'a str> {
    let (device, signature) = cookie.split_once('.')?;
    let signature = hex::decode(signature).ok()?;
    let text = signed_text(user, device);
    hmac::verify(key, text.as_bytes(), &signature).ok()?;
    Some(device)
}

/// Makes the device of the current request known to an account that has just been signed in to.
///
/// # Errors
/// When the store fails.
pub async fn remember(app: &AppState, user: UserId) -> Result<()> {
    let value = issue(&key(app).await?, user);
    let cookie = Cookie::build((DEVICE_COOKIE, value))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(app.config.is_https())
        .path("/fn/")
        .max_age(time::Duration::days(COOKIE_DAYS))
        .build();
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        add_header(header::SET_COOKIE, value);
    }
    Ok(())
}

pub(crate) fn issue(key: &hmac::Key, user: UserId) -> String {
    let device = random::new_token();
    let signature = hmac::sign(key, signed_text(user, &device).as_bytes());
    format!("{device}.{}", hex::encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_device_is_known_to_the_account_that_was_signed_in_to() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a secret");
        let [ada, grace] = [1, 2].map(|n| UserId(Uuid::from_u128(n)));
        let cookie = issue(&key, ada);
        let device = cookie.split('.').next();
        assert_eq!(verify(&key, ada, &cookie), device);
        assert_eq!(verify(&key, grace, &cookie), None);
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another secret");
        assert_eq!(verify(&other, ada, &cookie), None);
        let forged = cookie.replacen(|c: char| c.is_ascii_digit(), "f", 1);
        for wrong in ["", ".", "a.b", "a.00", &forged] {
            assert_eq!(verify(&key, ada, wrong), None, "{wrong}");
        }
    }
}
