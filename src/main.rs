//! The command line.

use clap::{CommandFactory, Parser, Subcommand};
use rialto::{
    model::{
        story::{StoryDraft, Urgency},
        user::{Role, UserName},
    },
    news, people,
    server::{
        backup::{
            check, check::CheckArgs, create, create::BackupArgs, restore, restore::RestoreArgs,
        },
        config::{Config, StoreConfig},
        store::{Store, postgres_migration::migrate_to_postgres},
        tls,
    },
};
use std::{collections::BTreeSet, ffi::OsString, io::Read, process::ExitCode};

/// The system's allocator took a fifth of the time of rendering pages and welcoming clients (docs/decisions/0017-mimalloc.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Live news, chat and video calls for a community. Without a command: `serve`.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Publish news.
    #[command(subcommand)]
    News(NewsCommand),
    /// Manage API tokens for publishing.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check whether calls can connect through the server on this machine. Prints one result a line, with advice.
    Doctor {
        #[command(flatten)]
        store: StoreConfig,
    },
    /// Manage users.
    #[command(subcommand)]
    User(UserCommand),
    /// Write store and files into one new file, while a server runs or not.
    Backup(BackupArgs),
    /// Restore a backup into an empty data folder, and into an empty database if one is set.
    Restore(RestoreArgs),
    /// Check store and files for damage, while a server runs or not. Prints one finding a line, with advice.
    Check(CheckArgs),
    /// Copy the SQLite store of a data folder into an empty PostgreSQL database. Stop the server first.
    MigrateStore {
        #[command(flatten)]
        store: StoreConfig,
    },
}

#[derive(Debug, Subcommand)]
enum NewsCommand {
    /// Publish a story through the server on this machine, or directly into the store if none runs.
    Publish {
        /// Headline, one line.
        headline: String,
        /// Body in Markdown; "-" reads it from standard input.
        #[arg(long, default_value = "")]
        body: String,
        /// Topic of the story.
        #[arg(long, default_value = "General")]
        topic: String,
        /// "normal", or "breaking" for a banner on every page.
        #[arg(long, default_value = "normal")]
        urgency: Urgency,
        /// Name of the author.
        #[arg(long, default_value = "The editors")]
        byline: UserNameArg,
        #[command(flatten)]
        store: StoreConfig,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Create a token and print it. It is shown only once; the store keeps its hash.
    Create {
        /// Name of the token, used as the byline of its stories.
        name: String,
        #[command(flatten)]
        store: StoreConfig,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// List users and their roles.
    List {
        #[command(flatten)]
        store: StoreConfig,
    },
    /// Change the role of a user.
    Role {
        /// Name of the user.
        name: UserNameArg,
        /// New role: "guest", "member", "editor" or "admin".
        role: Role,
        #[command(flatten)]
        store: StoreConfig,
    },
}

/// A valid user name, as an argument.
#[derive(Debug, Clone)]
struct UserNameArg(UserName);

impl std::str::FromStr for UserNameArg {
    type Err = rialto::model::user::SingleLineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        UserName::new(text).map(Self)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        refuse_huge_pages();
        // Files hold messages and password hashes: only their owner may read new ones.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    }
    tls::install_crypto_provider();
    if let Some(why) = unknown_settings(std::env::vars_os().map(|(name, _)| name)) {
        eprintln!("rialto: {why}");
        return ExitCode::FAILURE;
    }
    let done = match Cli::parse_from(with_default_command(std::env::args_os())).command {
        Command::Serve(config) => rialto::serve::run(*config).await,
        Command::News(command) => publish_story(command).await,
        Command::Token(TokenCommand::Create { name, store }) => create_token(&name, &store).await,
        Command::Doctor { store } => rialto::serve::doctor::run(&store).await,
        Command::User(command) => run_user_command(command).await,
        Command::Backup(args) => create::run(&args).await,
        Command::Restore(args) => restore::run(&args).await,
        Command::Check(args) => check::run(&args).await,
        Command::MigrateStore { store } => migrate_store(&store).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("rialto: {why}");
            ExitCode::FAILURE
        }
    }
}

const SETTING_PREFIX: &str = "RIALTO_";
/// Have the prefix, but are not for this program: the log's filter, which it reads itself, and variables of the project's scripts.
const OTHER_VARIABLES: [&str; 3] = ["RIALTO_LOG", "RIALTO_TOOLS", "RIALTO_CHROMIUM"];

/// What to tell about environment variables that set nothing: a misspelt one would be ignored silently.
fn unknown_settings(names: impl Iterator<Item = OsString>) -> Option<String> {
    let command = Cli::command();
    let known: BTreeSet<String> = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_env)
        .map(|name| name.to_string_lossy().into_owned())
        .chain(OTHER_VARIABLES.map(str::to_owned))
        .collect();
    let unknown: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with(SETTING_PREFIX) && !known.contains(name))
        .collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "no setting is named {}. \"rialto serve --help\" lists all settings with their environment variables. Correct the name, or \
             remove the variable",
            unknown.join(", ")
        )
    })
}

/// Inserts `serve` where no command is named, as in `rialto --listen 0.0.0.0:8080`.
fn with_default_command(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const OPTIONS_WITHOUT_COMMAND: [&str; 4] = ["-h", "--help", "-V", "--version"];
    let mut arguments: Vec<_> = arguments.collect();
    let names_command = arguments.get(1).is_some_and(|first| {
        !first.as_encoded_bytes().starts_with(b"-")
            || OPTIONS_WITHOUT_COMMAND.iter().any(|option| first == option)
    });
    if !names_command {
        arguments.insert(arguments.len().min(1), "serve".into());
    }
    arguments
}

/// Disables transparent huge pages, which mimalloc requests: after some ten minutes they cost a small server 10 MB.
#[cfg(target_os = "linux")]
fn refuse_huge_pages() {
    // A failure costs only memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

type CliResult = Result<(), String>;

async fn publish_story(
    NewsCommand::Publish {
        headline,
        mut body,
        topic,
        urgency,
        byline,
        store,
    }: NewsCommand,
) -> CliResult {
    if body == "-" {
        body.clear();
        std::io::stdin()
            .read_to_string(&mut body)
            .map_err(|why| format!("standard input cannot be read: {why}"))?;
    }
    let draft =
        StoryDraft::new(&headline, &body, &topic, urgency).map_err(|why| why.to_string())?;
    let said = news::server::cli::publish(&store, draft, byline.0.as_str()).await?;
    println!("{said}");
    Ok(())
}

async fn create_token(name: &str, config: &StoreConfig) -> CliResult {
    let store = open_store(config).await?;
    let token = people::server::create_token(&store, name)
        .await
        .map_err(error_message)?;
    println!("{token}");
    store.close().await;
    Ok(())
}

async fn run_user_command(command: UserCommand) -> CliResult {
    match command {
        UserCommand::List { store } => {
            let store = open_store(&store).await?;
            let people = store.list_users(i64::MAX).await.map_err(error_message);
            store.close().await;
            for person in people? {
                println!("{}\t{}", person.role, person.name);
            }
        }
        UserCommand::Role { name, role, store } => {
            let data = store.data.clone();
            let store = open_store(&store).await?;
            let changed = people::role_command::change_role(&store, &data, &name.0, role).await;
            store.close().await;
            println!("{} is now {role}", changed?.name);
        }
    }
    Ok(())
}

async fn open_store(config: &StoreConfig) -> Result<Store, String> {
    Store::open(config).await.map_err(|why| match why {
        rialto::server::Error::InvalidSetting(why) => why,
        why => format!("the store in {} cannot be opened: {why}", config.location()),
    })
}

async fn migrate_store(config: &StoreConfig) -> CliResult {
    let copied = migrate_to_postgres(config).await.map_err(error_message)?;
    for table in copied {
        let rows = if table.rows == 1 { "row" } else { "rows" };
        println!(
            "{:<12} {:>8} {rows:<4}  sha256 {}",
            table.table,
            table.rows,
            table.checksum.get(..16).unwrap_or_default()
        );
    }
    let folder = config.data.display();
    println!(
        "Copied into {}; both stores are identical. Next: start \"rialto serve --data {folder} --database-url …\". Uploaded files \
         stay in {folder}/files. {folder}/rialto.sqlite is unchanged and no longer used.",
        config.location()
    );
    Ok(())
}

fn error_message(error: rialto::server::Error) -> String {
    match error {
        rialto::server::Error::User(failure) => failure.to_string(),
        other => other.to_string(),
    }
}
