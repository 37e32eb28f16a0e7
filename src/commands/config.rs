//! `twocan config`: the configuration file, looked at.

use twocan::cli::ConfigCommand;
use twocan::config::TEMPLATE;

use super::fail::Failure;
use super::out;
use super::setup::Setup;

/// Carries out `twocan config ...`.
///
/// # Errors
/// When the file is wrong, but for `path` and `template`, which do not read it.
pub fn run(setup: &Setup, command: ConfigCommand) -> Result<(), Failure> {
    let json = setup.global.json;
    let path = setup.config_path();
    match command {
        ConfigCommand::Path if json => out::json(&serde_json::json!({ "path": path })),
        ConfigCommand::Path => out::line(path.display()),
        ConfigCommand::Template if json => out::json(&serde_json::json!({ "template": TEMPLATE })),
        ConfigCommand::Template => out::line(TEMPLATE.trim_end()),
        ConfigCommand::Show if json => out::json(&setup.config()?),
        ConfigCommand::Show => out::line(setup.config()?.to_toml().trim_end()),
        ConfigCommand::Check => {
            setup.config()?;
            let there = path.exists();
            if json {
                return out::json(&serde_json::json!({ "path": path, "exists": there }));
            }
            let what = if there {
                "is right"
            } else {
                "is not there: the defaults hold"
            };
            out::say(format!("{} {what}", path.display()));
            Ok(())
        }
    }
}
