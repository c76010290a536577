//! `/admin`: roles, publishing tokens and the connectivity check for calls.

use super::api::{
    AdminOverview, RevokeToken, SetRole, TokenSummary, examine_server, find_admin_overview,
};
use crate::{
    model::user::{Person, Role},
    ui::{
        findings::Findings,
        form::FormFailure,
        loading::LoadingIndicator,
        notice::{Notice, NoticeKind},
        time::{LocalTime, TimeStyle},
    },
};
use leptos::{either::Either, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use server_fn::ServerFn;

#[component]
pub fn AdminPage() -> impl IntoView {
    let state = Resource::new_blocking(|| (), |()| find_admin_overview());
    view! {
        <Title text="Administration" />
        <div class="page admin">
            <h1>"Administration"</h1>
            <Suspense>
                {move || Suspend::new(async move {
                    match state.await {
                        Ok(state) => Either::Left(view! { <AdminTables state /> }),
                        Err(failure) => {
                            Either::Right(
                                view! {
                                    <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice>
                                    <p>
                                        <a class="button" href="/signin?next=/admin">"Sign in"</a>
                                    </p>
                                },
                            )
                        }
                    }
                })}
            </Suspense>
        </div>
    }
}

#[component]
fn AdminTables(state: AdminOverview) -> impl IntoView {
    let query = use_query_map();
    let done = move || {
        query
            .read()
            .get("done")
            .and_then(|done| match done.as_str() {
                "role" => Some("Role changed"),
                "token" => Some("Token revoked"),
                _ => None,
            })
    };
    view! {
        {move || done().map(|text| view! { <Notice kind=NoticeKind::Ok>{text}</Notice> })}
        <FormFailure path=SetRole::PATH />
        <FormFailure path=RevokeToken::PATH />
        <Examination />
        <section class="card stack" aria-labelledby="admin-people">
            <h2 id="admin-people">"People"</h2>
            <ul class="rows">{state.people.into_iter().map(|person| view! { <PersonRole person /> }).collect_view()}</ul>
        </section>
        <section class="card stack" aria-labelledby="admin-tokens">
            <h2 id="admin-tokens">"Tokens"</h2>
            <p class="quiet-text">
                "Programs publish with a token. Create one on the server with " <code>"rialto token create NAME"</code> "."
            </p>
            {if state.tokens.is_empty() {
                Either::Left(view! { <p class="empty">"No tokens yet"</p> })
            } else {
                Either::Right(
                    view! {
                        <ul class="rows">
                            {state.tokens.into_iter().map(|token| view! { <TokenRow token /> }).collect_view()}
                        </ul>
                    },
                )
            }}
        </section>
    }
}

/// The connectivity check for calls. Its button loads the page with the results, so it works without JavaScript.
#[component]
fn Examination() -> impl IntoView {
    let query = use_query_map();
    let asked = Memo::new(move |_| query.read().get("look").is_some());
    let found = Resource::new(
        move || asked.get(),
        |asked| async move {
            if asked {
                Some(examine_server().await)
            } else {
                None
            }
        },
    );
    view! {
        <section class="card stack" aria-labelledby="admin-doctor" id="doctor">
            <h2 id="admin-doctor">"Calls through this server"</h2>
            <p class="quiet-text">
                "Checks the relay, its address, the clock and the site, as a browser would. Everyone can test their own connection in \
                Settings."
            </p>
            <Suspense fallback=|| view! { <LoadingIndicator label="Running checks…" /> }>
                {move || Suspend::new(async move {
                    found
                        .await
                        .map(|found| match found {
                            Ok(findings) => Either::Left(view! { <Findings findings /> }),
                            Err(failure) => {
                                Either::Right(view! { <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice> })
                            }
                        })
                })}
            </Suspense>
            <form method="get" action="/admin">
                <button class="button" type="submit" name="look" value="now">
                    {move || if asked.get() { "Run again" } else { "Run checks" }}
                </button>
            </form>
        </section>
    }
}

#[component]
fn PersonRole(person: Person) -> impl IntoView {
    let label = format!("Role of {}", person.name);
    let submit = format!("Change the role of {}", person.name);
    view! {
        <li class="row">
            <span class="row-name">{person.name.to_string()}</span>
            <form class="row-form" method="post" action=SetRole::url()>
                <input type="hidden" name="user" value=person.id.to_string() />
                <select name="role" aria-label=label>
                    {Role::ALL
                        .into_iter()
                        .map(|role| {
                            view! {
                                <option value=role.as_str() selected=role == person.role>
                                    {role.as_str()}
                                </option>
                            }
                        })
                        .collect_view()}
                </select>
                <button class="button" type="submit" aria-label=submit>"Change"</button>
            </form>
        </li>
    }
}

#[component]
fn TokenRow(token: TokenSummary) -> impl IntoView {
    let submit = format!("Revoke {}", token.name);
    view! {
        <li class="row">
            <span class="row-name">{token.name.clone()}</span>
            <span class="quiet-text">
                {match token.used_at {
                    Some(at) => {
                        Either::Left(view! { "Last used " <LocalTime at style=TimeStyle::DayTime /> })
                    }
                    None => Either::Right("Never used"),
                }}
            </span>
            {if token.is_revoked {
                Either::Left(view! { <span class="badge quiet">"Revoked"</span> })
            } else {
                Either::Right(
                    view! {
                        <form class="row-form" method="post" action=RevokeToken::url()>
                            <input type="hidden" name="token" value=token.id.to_string() />
                            <button class="button danger" type="submit" aria-label=submit>"Revoke"</button>
                        </form>
                    },
                )
            }}
        </li>
    }
}
