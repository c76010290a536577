//! `/admin`: roles, publishing tokens and the connectivity check for calls.

use super::api::{
    AdminOverview, RevokeToken, SetRole, TokenSummary, examine_server, find_admin_overview,
};
use crate::{
    model::user::{Person, Role},
    protocol::failure::Failure,
    ui::{
        findings::Findings,
        form::{ActionOutcome, SubmitButton},
        loading::LoadingIndicator,
        refetch::FetchFailure,
        time::{LocalTime, TimeStyle},
    },
};
use leptos::{either::Either, html, prelude::*, reactive::computed::ScopedFuture};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

#[component]
pub fn AdminPage() -> impl IntoView {
    let set_role = ServerAction::<SetRole>::new();
    let revoke_token = ServerAction::<RevokeToken>::new();
    let overview = Resource::new_blocking(
        move || (set_role.version().get(), revoke_token.version().get()),
        |_| find_admin_overview(),
    );
    view! {
        <Title text="Administration" />
        <div class="page admin">
            <h1>"Administration"</h1>
            <Transition>
                <AdminContent overview set_role revoke_token />
            </Transition>
        </div>
    }
}

type OverviewResource = Resource<Result<AdminOverview, Failure>>;

#[component]
fn AdminContent(
    overview: OverviewResource,
    set_role: ServerAction<SetRole>,
    revoke_token: ServerAction<RevokeToken>,
) -> impl IntoView {
    let has_failed = Memo::new(move |_| overview.map(Result::is_err).unwrap_or(false));
    move || {
        has_failed.track();
        // Untracked, so that the tables keep choices that are not submitted.
        let found = ScopedFuture::new_untracked(overview.into_future());
        Suspend::new(async move {
            match found.await {
                Ok(_) => Either::Left(view! { <AdminTables overview set_role revoke_token /> }),
                Err(failure) => Either::Right(view! {
                    <FetchFailure failure resource=overview />
                    <p>
                        <a class="button" href="/signin?next=/admin">
                            "Sign in"
                        </a>
                    </p>
                }),
            }
        })
    }
}

#[component]
fn AdminTables(
    overview: OverviewResource,
    set_role: ServerAction<SetRole>,
    revoke_token: ServerAction<RevokeToken>,
) -> impl IntoView {
    let found = Memo::new(move |_| overview.map(|found| found.clone().ok()).flatten());
    let people = Memo::new(move |_| found.get().map(|found| found.people).unwrap_or_default());
    let tokens = Memo::new(move |_| found.get().map(|found| found.tokens).unwrap_or_default());
    view! {
        <section class="card stack" aria-labelledby="admin-people">
            <h2 id="admin-people">"People"</h2>
            <ActionOutcome action=set_role done="role" success="Role changed" />
            <ul class="rows">
                <For each=move || people.get() key=|person| person.id let:person>
                    <PersonRole person people set_role />
                </For>
            </ul>
        </section>
        <section class="card stack" aria-labelledby="admin-tokens">
            <h2 id="admin-tokens">"Tokens"</h2>
            <p class="quiet-text">
                "Programs publish with a token. Create one on the server with " <code>"rialto token create NAME"</code>
                "."
            </p>
            <ActionOutcome action=revoke_token done="token" success="Token revoked" />
            {move || {
                let tokens = tokens.get();
                if tokens.is_empty() {
                    return Either::Left(view! { <p class="empty">"No tokens yet"</p> });
                }
                let rows = tokens.into_iter().map(|token| view! { <TokenRow token revoke_token /> }).collect_view();
                Either::Right(view! { <ul class="rows">{rows}</ul> })
            }}
        </section>
        // Last: streamed in order, this part may take seconds.
        <Examination />
    }
}

/// The button loads a page with the results, to work without JavaScript.
#[component]
fn Examination() -> impl IntoView {
    let query = use_query_map();
    let is_requested = Memo::new(move |_| query.read().get("doctor").is_some());
    let checks = Resource::new(
        move || is_requested.get(),
        |is_requested| async move {
            if is_requested {
                examine_server().await.map(Some)
            } else {
                Ok(None)
            }
        },
    );
    view! {
        <section class="card stack" aria-labelledby="admin-doctor" id="doctor">
            <h2 id="admin-doctor">"Calls through this server"</h2>
            <p class="quiet-text">
                "Checks the store and its backups, and, as a browser would, the relay, its address, the clock and the site. Everyone can \
                test their own connection in Settings."
            </p>
            <Suspense fallback=|| {
                view! { <LoadingIndicator label="Running checks…" /> }
            }>
                {move || Suspend::new(async move {
                    match checks.await {
                        Ok(findings) => Either::Left(findings.map(|findings| view! { <Findings findings /> })),
                        Err(failure) => Either::Right(view! { <FetchFailure failure resource=checks /> }),
                    }
                })}
            </Suspense>
            <form method="get" action="/admin#doctor">
                <button class="button" type="submit" name="doctor" value="run">
                    {move || if is_requested.get() { "Run again" } else { "Run checks" }}
                </button>
            </form>
        </section>
    }
}

/// Never replaced: its select may hold a choice, its button the focus.
#[component]
fn PersonRole(
    /// As first listed.
    person: Person,
    people: Memo<Vec<Person>>,
    set_role: ServerAction<SetRole>,
) -> impl IntoView {
    let (id, first_role) = (person.id, person.role);
    let person = Memo::new(move |_| {
        let listed = people.with(|people| people.iter().find(|listed| listed.id == id).cloned());
        listed.unwrap_or_else(|| person.clone())
    });
    let name = move || person.with(|person| person.name.to_string());
    let submit = Signal::derive(move || format!("Change the role of {}", name()));
    // All rows share the action.
    let pending = Signal::derive(move || {
        let input = set_role.input();
        input.with(|input| input.as_ref().is_some_and(|input| input.user == id))
    });
    let role = Memo::new(move |_| person.with(|person| person.role));
    let select = NodeRef::<html::Select>::new();
    Effect::watch(
        move || role.get(),
        move |role, _, _| {
            if let Some(select) = select.get_untracked() {
                select.set_value(role.as_str());
            }
        },
        false,
    );
    view! {
        <li class="row">
            <span class="row-name">{name}</span>
            <ActionForm action=set_role attr:class="row-form">
                <input type="hidden" name="user" value=id.to_string() />
                <select name="role" aria-label=move || format!("Role of {}", name()) node_ref=select>
                    {Role::ALL
                        .into_iter()
                        .map(|role| {
                            view! {
                                <option value=role.as_str() selected=role == first_role>
                                    {role.as_str()}
                                </option>
                            }
                        })
                        .collect_view()}
                </select>
                <SubmitButton pending label=submit>
                    "Change"
                </SubmitButton>
            </ActionForm>
        </li>
    }
}

#[component]
fn TokenRow(token: TokenSummary, revoke_token: ServerAction<RevokeToken>) -> impl IntoView {
    let submit = format!("Revoke {}", token.name);
    let pending = Signal::derive(move || {
        let input = revoke_token.input();
        input.with(|input| input.as_ref().is_some_and(|input| input.token == token.id))
    });
    view! {
        <li class="row">
            <span class="row-name">{token.name.clone()}</span>
            <span class="quiet-text">
                {match token.used_at {
                    Some(at) => {
                        Either::Left(
                            view! {
                                "Last used "
                                <LocalTime at style=TimeStyle::DayTime />
                            },
                        )
                    }
                    None => Either::Right("Never used"),
                }}
            </span>
            {if token.is_revoked {
                Either::Left(view! { <span class="badge quiet">"Revoked"</span> })
            } else {
                Either::Right(
                    view! {
                        <ActionForm action=revoke_token attr:class="row-form">
                            <input type="hidden" name="token" value=token.id.to_string() />
                            <SubmitButton class="button danger" pending pending_text="Revoking…" label=submit>
                                "Revoke"
                            </SubmitButton>
                        </ActionForm>
                    },
                )
            }}
        </li>
    }
}
