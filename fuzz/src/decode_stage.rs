//! Any registered stage, any parameters, any layout, any bytes: an error, or what was asked for.

use errbar_codec::{Codes, DType, Registry};

use super::input::Input;

/// Decodes with one stage, twice; a transform is also asked to undo itself.
pub fn decode_stage(data: &[u8]) {
    let registry = Registry::core();
    let (quantizers, transforms) = (registry.quantizers(), registry.transforms());
    let mut input = Input(data);
    let which = usize::from(input.byte()) % (quantizers.len() + transforms.len() + registry.coders().len());
    if which < quantizers.len() {
        quantizer(quantizers[which], &mut input);
    } else if let Some(&transform) = transforms.get(which - quantizers.len()) {
        self::transform(transform, &mut input);
    } else {
        coder(registry.coders()[which - quantizers.len() - transforms.len()], &mut input);
    }
}

fn quantizer(stage: &dyn errbar_codec::Quantizer, input: &mut Input<'_>) {
    let dtype = input.pick(DType::ALL);
    let Ok(layout) = errbar_codec::Values::layout(dtype, &input.shape()) else { return };
    let params = input.params();
    let Ok(code_layout) = stage.code_layout(dtype, &layout, params) else { return };
    let codes = Codes::from_le_bytes(&code_layout, input.fill(code_layout.bytes())).expect("as many bytes as the layout needs");
    let first = stage.reconstruct(codes.clone(), dtype, &layout, params);
    if let Ok(values) = &first {
        assert_eq!(values.layout(), layout, "{}", stage.name());
        assert_eq!(stage.reconstruct(codes, dtype, &layout, params).ok().as_ref(), Some(values), "{} decodes differently", stage.name());
    }
}

fn transform(stage: &dyn errbar_codec::Transform, input: &mut Input<'_>) {
    let layout = input.layout();
    let params = input.params();
    let Ok(output) = stage.output(&layout, params) else { return };
    let codes = Codes::from_le_bytes(&output, input.fill(output.bytes())).expect("as many bytes as the layout needs");
    if let Ok(plain) = stage.inverse(codes.clone(), &layout, params) {
        assert_eq!(plain.layout(), layout, "{}", stage.name());
        assert_eq!(stage.inverse(codes, &layout, params).ok().as_ref(), Some(&plain), "{} decodes differently", stage.name());
    }
    let plain = Codes::from_le_bytes(&layout, input.fill(layout.bytes())).expect("as many bytes as the layout needs");
    let there = stage.forward(plain.clone(), params).expect("parameters fit the layout");
    assert_eq!(there.layout(), output, "{}", stage.name());
    let back = stage.inverse(there, &layout, params).expect("its own codes");
    assert_eq!(back, plain, "{} does not undo itself", stage.name());
}

fn coder(stage: &dyn errbar_codec::Coder, input: &mut Input<'_>) {
    let layout = input.layout();
    let params = input.params();
    if let Ok(codes) = stage.decode(input.0, &layout, params) {
        assert_eq!(codes.layout(), layout, "{}", stage.name());
        assert_eq!(codes.words.len(), layout.len(), "{}", stage.name());
        assert_eq!(stage.decode(input.0, &layout, params).ok().as_ref(), Some(&codes), "{} decodes differently", stage.name());
    }
}
