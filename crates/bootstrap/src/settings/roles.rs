//! What each executable needs: it stops and names what is missing, and never asks for what it does not use.

use super::{Controller, SettingError, Settings};

/// Which process this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `son1k up`: everything, or with `WORKER_ONLY` the worker alone.
    Up,
    /// `son1k demo`: everything, on nobody's servers.
    Demo,
    Gateway,
    Worker,
    TokenPool,
    Autoscaler,
    Simulator,
    /// `son1k migrate`.
    Migrate,
    /// `son1k admin`, `son1k healthcheck`: speaks to a gateway.
    Operator,
}

impl Role {
    /// The executable's name, under which it reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up | Self::Demo | Self::Migrate | Self::Operator => "son1k",
            Self::Gateway => "son1k-gateway",
            Self::Worker => "son1k-worker",
            Self::TokenPool => "son1k-token-pool",
            Self::Autoscaler => "son1k-autoscaler",
            Self::Simulator => "son1k-simulator",
        }
    }

    pub(super) const fn may_embed(self) -> bool {
        matches!(self, Self::Up | Self::Demo | Self::Operator)
    }

    /// The secrets it uses, and may make where `make_secrets` says so.
    pub(super) const fn secrets(self, worker_only: bool) -> &'static [&'static str] {
        match self {
            Self::Up if worker_only => &["internal_auth_secret", "token_encryption_keys"],
            Self::Up | Self::Demo => {
                &["admin_api_key", "system_api_key", "api_key_pepper", "token_encryption_keys", "internal_auth_secret"]
            }
            Self::Gateway => &["admin_api_key", "system_api_key", "api_key_pepper", "internal_auth_secret"],
            Self::Worker => &["internal_auth_secret"],
            Self::TokenPool => &["token_encryption_keys", "internal_auth_secret"],
            Self::Autoscaler | Self::Simulator | Self::Migrate | Self::Operator => &[],
        }
    }
}

const POSTGRES: &str = "postgres://user:password@host:5432/son1k";

impl Settings {
    /// Names the first store or service that the role needs and does not have.
    pub(super) fn check_stores(&self) -> Result<(), SettingError> {
        let role = self.role;
        let stores = matches!(role, Role::Gateway | Role::Worker | Role::TokenPool | Role::Autoscaler | Role::Migrate);
        if self.database.is_none() && (stores || self.is_worker_alone()) {
            return self.missing("DATABASE_URL", &format!("PostgreSQL, such as {POSTGRES}"));
        }
        if self.pool.url.is_none() && matches!(role, Role::Gateway | Role::Worker) {
            return self.missing("TOKEN_POOL_URL", "the token pool's service, such as http://token-pool:50051");
        }
        if role == Role::Autoscaler {
            self.check_controller()?;
        }
        let submits = matches!(role, Role::Up | Role::Demo | Role::Worker);
        if submits && self.upstream.url.is_none() && !self.upstream.bundled_simulator {
            return self.missing("SUNO_API_URL", "the upstream's base address, such as https://host/api");
        }
        Ok(())
    }

    /// Names the first thing that the autoscaler's controller needs and does not have.
    fn check_controller(&self) -> Result<(), SettingError> {
        if let Controller::Railway(railway) = &self.scaling.controller {
            if railway.token.is_none() {
                return self.missing("RAILWAY_TOKEN", "a project token of the workers' environment");
            }
            for (name, id) in
                [("ENVIRONMENT_ID", &railway.environment_id), ("WORKER_SERVICE_ID", &railway.worker_service_id)]
            {
                if id.is_empty() {
                    return self.missing(&format!("RAILWAY_{name}"), "an id of Railway's");
                }
            }
        }
        Ok(())
    }

    /// Names the first secret that the role needs and does not have.
    pub(super) fn check_secrets(&self) -> Result<(), SettingError> {
        for name in self.role.secrets(self.worker.only) {
            let (there, needed) = match *name {
                "admin_api_key" => (self.secrets.admin_key.is_some(), "32 to 255 visible ASCII characters"),
                "system_api_key" => (self.secrets.system_key.is_some(), "32 to 255 visible ASCII characters"),
                "api_key_pepper" => (self.secrets.pepper.is_some(), "32 characters at least"),
                // A pool elsewhere seals by itself.
                "token_encryption_keys" => {
                    let elsewhere = self.role == Role::Up && self.pool.url.is_some();
                    (elsewhere || self.secrets.token_keys.is_some(), "id:base64 of 32 bytes")
                }
                _ => (self.secrets.internal.is_some(), "32 characters at least"),
            };
            if !there {
                return self.missing(&super::layers::env_name(name), needed);
            }
        }
        Ok(())
    }

    /// `son1k up` with `WORKER_ONLY`.
    pub fn is_worker_alone(&self) -> bool {
        self.role == Role::Up && self.worker.only
    }

    fn missing(&self, name: &str, needed: &str) -> Result<(), SettingError> {
        let who = if self.is_worker_alone() { "WORKER_ONLY" } else { self.role.name() };
        Err(SettingError::Missing { name: name.to_owned(), needed: format!("{who} needs {needed}") })
    }
}
