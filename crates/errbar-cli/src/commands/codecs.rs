//! `errbar codecs`

use errbar::{Registry, Result, Stage};
use serde_json::json;

use crate::args::Codecs;
use crate::message::Exit;
use crate::output::Out;

pub fn run(args: &Codecs) -> Result<Exit> {
    let registry = Registry::core();
    let quantizers = registry.quantizers().iter().map(|&stage| ("quantizer", stage as &dyn Stage));
    let transforms = registry.transforms().iter().map(|&stage| ("transform", stage as &dyn Stage));
    let coders = registry.coders().iter().map(|&stage| ("coder", stage as &dyn Stage));
    let mut out = Out::new();
    for (kind, stage) in quantizers.chain(transforms).chain(coders) {
        if args.json {
            out.json(&json!({
                "message_type": "stage",
                "kind": kind,
                "name": stage.name(),
                "version": stage.version(),
                "summary": stage.summary(),
                "parameters": stage.parameters(),
                "guarantee": stage.guarantee(),
            }))?;
            continue;
        }
        let parameters = if stage.parameters().is_empty() { "none" } else { stage.parameters() };
        out.line(&format!("{kind:<9}  {}/{}", stage.name(), stage.version()))?;
        out.line(&format!("  {}", stage.summary()))?;
        out.line(&format!("  parameters: {parameters}"))?;
        out.line(&format!("  guarantee:  {}", stage.guarantee()))?;
    }
    out.finish()?;
    Ok(Exit::Success)
}
