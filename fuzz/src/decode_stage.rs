//! Any registered stage, any parameters, any layout, any bytes: an error, or what was asked for.
//! Half-way plausible ones get further than noise does.

use errbar_codec::{Coder, Codes, Kind, Quantizer, Registry, Transform, with_words};

use super::input::Input;

/// Decodes with one stage, twice; a transform and a coder are also asked to undo what they did.
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

/// Codes and parameters that nobody chose, or parameters that the quantizer chose for some values.
fn quantizer(stage: &dyn Quantizer, input: &mut Input<'_>) {
    let values = input.values();
    let mut layout = values.bits.layout();
    let (dtype, plain) = (values.dtype, layout.clone());
    let quantized = input.tolerance().and_then(|tolerance| {
        let wanted = usize::from(input.byte() % 2);
        stage.quantize(&values, &tolerance, input.bytes(wanted)).ok()
    });
    layout.scan.absent = match &quantized {
        Some(quantized) => quantized.absent.clone(),
        None => input.absent(layout.len()),
    };
    let params = input.params(stage, quantized.map(|quantized| quantized.params));
    let Ok(code_layout) = stage.code_layout(dtype, &layout, &params) else { return };
    let codes = input.codes(&code_layout);
    let first = stage.reconstruct(codes.clone(), dtype, &plain, &params);
    if let Ok(values) = &first {
        assert_eq!(values.layout(), plain, "{}", stage.name());
        assert_eq!(stage.reconstruct(codes, dtype, &plain, &params).ok().as_ref(), Some(values), "{} decodes differently", stage.name());
    }
}

/// What comes back in the place of an absent word is free.
fn clear_absent(codes: &mut Codes) {
    if let Some(absent) = codes.scan.absent.clone() {
        with_words!(&mut codes.words, v => v.iter_mut().zip(&*absent).filter(|(_, absent)| **absent).for_each(|(word, _)| *word = 0));
    }
}

fn transform(stage: &dyn Transform, input: &mut Input<'_>) {
    let mut layout = input.layout();
    // As a pipeline gives them to it.
    layout.scan.levels.clear();
    if !stage.keeps_absent() {
        layout.scan.absent = None;
    }
    let plain = input.codes(&layout);
    let own = stage.chooses(&plain, &[]);
    let params = input.params(stage, own);
    let Ok(output) = stage.output(&layout, &params) else { return };
    let codes = input.codes(&output);
    if let Ok(plain) = stage.inverse(codes.clone(), &layout, &params) {
        assert_eq!(plain.layout(), layout, "{}", stage.name());
        assert_eq!(stage.inverse(codes, &layout, &params).ok().as_ref(), Some(&plain), "{} decodes differently", stage.name());
    }
    let there = match stage.forward(plain.clone(), &params) {
        Err(error) if !stage.takes_any() && error.kind == Kind::Usage => return,
        there => there.expect("parameters fit the layout"),
    };
    assert_eq!(there.layout(), output, "{}", stage.name());
    let mut back = stage.inverse(there, &layout, &params).expect("its own codes");
    clear_absent(&mut back);
    assert_eq!(back, plain, "{} does not undo itself", stage.name());
}

/// Bytes that nobody wrote, or that the coder wrote for some codes, with some of them changed.
fn coder(stage: &dyn Coder, input: &mut Input<'_>) {
    let layout = input.layout();
    let params = input.params(stage, None);
    let mut bytes = None;
    if !input.byte().is_multiple_of(4) {
        let codes = input.codes(&layout);
        if let Ok(mut own) = stage.encode(&codes, &params) {
            let back = stage.decode(&own, &layout, &params).expect("its own bytes");
            assert_eq!(back, codes, "{} does not give its codes back", stage.name());
            input.change(&mut own);
            bytes = Some(own);
        }
    }
    let bytes = bytes.as_deref().unwrap_or(input.0);
    if let Ok(codes) = stage.decode(bytes, &layout, &params) {
        assert_eq!(codes.layout(), layout, "{}", stage.name());
        assert_eq!(codes.words.len(), layout.len(), "{}", stage.name());
        assert_eq!(stage.decode(bytes, &layout, &params).ok().as_ref(), Some(&codes), "{} decodes differently", stage.name());
    }
}
