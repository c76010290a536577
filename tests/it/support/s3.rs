//! An S3 server that a test stops and starts: the package `rialto-test-s3`.

use super::with_timeout;
use std::{net::SocketAddr, path::PathBuf, process::Stdio};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const BUCKET: &str = "community";
const ACCESS_KEY_ID: &str = "AKIDRIALTO";
const SECRET_ACCESS_KEY: &str = "a secret of this test";

/// On its own port, with one bucket.
pub(crate) struct S3 {
    folder: TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        // The first test builds it; the others wait for cargo's lock.
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "rialto-test-s3",
        ]);
        let status = build.status().await.unwrap();
        assert!(status.success(), "rialto-test-s3 does not build");
        let mut s3 = Self {
            folder,
            address: ([127, 0, 0, 1], 0).into(),
            process: None,
        };
        s3.launch().await;
        s3
    }

    /// On the port it had before.
    pub(crate) async fn launch(&mut self) {
        let mut command = Command::new(env!("CARGO"));
        // On Unix, `cargo run` replaces itself with the program (exec).
        command.args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "rialto-test-s3",
            "--",
        ]);
        command.arg(self.folder.path());
        command.args([&self.address.to_string(), ACCESS_KEY_ID, SECRET_ACCESS_KEY]);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = with_timeout("the S3 server listens", lines.next_line()).await;
        self.address = line
            .unwrap()
            .expect("the S3 server prints its address")
            .parse()
            .unwrap();
        self.process = Some(process);
    }

    /// Closes every connection.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("the S3 server is running");
        process.kill().await.unwrap();
    }

    /// Files go to this server's bucket, under `sent`.
    pub(crate) fn settings(&self) -> impl Fn(&mut Command) + Clone + Send + Sync + 'static {
        let endpoint = format!("http://{}", self.address);
        move |command| {
            command
                .env("RIALTO_FILES", format!("s3://{BUCKET}/sent"))
                .env("AWS_ENDPOINT", &endpoint)
                .env("AWS_ALLOW_HTTP", "true")
                .env("AWS_REGION", "eu-south-1")
                .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
                .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
        }
    }

    /// The objects under `sent`.
    pub(crate) fn objects_dir(&self) -> PathBuf {
        self.folder.path().join(BUCKET).join("sent")
    }
}
