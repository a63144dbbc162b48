//! Services and checks in configuration files: what is wrong with one is said at once, and where.

use serde_json::Value;
use tribune_agent::definition::{
    CheckDefinition, DecodeError, InvalidService, ServiceDefinition, UnknownFields,
};

use super::check::Checker;
use super::runtime::Definition;
use crate::watch::Configured;

impl Checker<'_> {
    /// Everything under `service` and `services`.
    pub(crate) fn services(&mut self) -> Vec<Definition> {
        self.definitions(["service", "services"], |value| {
            let service = ServiceDefinition::from_value(value, UnknownFields::Refused)?;
            match service.validate() {
                // What we cannot do for a service does not make its definition wrong.
                Ok(()) | Err(InvalidService::Connect) => Ok(()),
                Err(error) => Err(Wrong::Senseless(format!("{:?}: {error}", service.id()))),
            }
        })
    }

    /// Everything under `check` and `checks`.
    pub(crate) fn checks(&mut self) -> Vec<Definition> {
        self.definitions(["check", "checks"], |value| {
            let check = CheckDefinition::from_value(value, UnknownFields::Refused)?;
            let name = if check.id.is_empty() { &check.name } else { &check.id };
            // How much output is kept does not change whether the definition makes sense.
            check
                .kind(usize::MAX)
                .map_err(|error| Wrong::Senseless(format!("{name:?}: {error}")))?;
            Ok(())
        })
    }

    /// Everything under `watches`. Each is told about through HTTP.
    pub(crate) fn watches(&mut self, http: bool) -> Vec<Definition> {
        let watches = self.settings.definitions("watches").to_vec();
        for Definition { origin, value } in &watches {
            if let Err(error) = Configured::parse(value) {
                self.complain_about(origin, error.to_string());
            }
            if !http {
                let message = "watch plans require an HTTP or HTTPS endpoint".to_owned();
                self.complain_about(origin, message);
            }
        }
        if watches.iter().any(|it| Configured::is_dated(&it.value)) {
            self.warn(
                "The 'handler' field in watches has been deprecated and replaced with the 'args' \
                 field.",
            );
        }
        watches
    }

    fn definitions(
        &mut self,
        paths: [&str; 2],
        look: impl Fn(&Value) -> Result<(), Wrong>,
    ) -> Vec<Definition> {
        let settings = self.settings;
        for path in paths {
            for definition in settings.definitions(path) {
                if let Err(wrong) = look(&definition.value) {
                    self.complain_about(&definition.origin, wrong.explain(path));
                }
            }
        }
        paths.iter().flat_map(|it| settings.definitions(it).to_vec()).collect()
    }
}

/// What is wrong with a definition.
enum Wrong {
    /// It cannot be read.
    Unreadable(DecodeError),
    /// It can, but means nothing.
    Senseless(String),
}

impl From<DecodeError> for Wrong {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error)
    }
}

impl Wrong {
    /// In the words of the other mistakes in a configuration.
    fn explain(self, path: &str) -> String {
        match self {
            Self::Senseless(text) => format!("{path} {text}"),
            Self::Unreadable(DecodeError::UnknownField(name)) => {
                format!("invalid config key {path}.{name}")
            }
            Self::Unreadable(DecodeError::Type { found, at, expected }) => {
                let field = at.split_once('.').map_or("", |it| it.1);
                let found = found.split(' ').next().unwrap_or_default();
                format!(
                    "'{path}.{field}' expected type '{expected}', got unconvertible type '{found}'"
                )
            }
            Self::Unreadable(
                error @ (DecodeError::Empty
                | DecodeError::Truncated
                | DecodeError::Syntax(_)
                | DecodeError::Duration(_)),
            ) => format!("{path}: {error}"),
        }
    }
}
