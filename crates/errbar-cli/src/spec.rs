//! The specification, for `pack --with-spec`.

macro_rules! documents {
    ($($name:literal)*) => {
        /// Every file of the specification: its name below `spec/`, and its content.
        pub const DOCUMENTS: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("../../../spec/", $name))),)*];
    };
}

documents! {
    "README.md"
    "coding.md"
    "errata.md"
    "errbar-1.md"
    "filters.md"
    "formats/aiff.md"
    "formats/arrow.md"
    "formats/bmp.md"
    "formats/dcd.md"
    "formats/dicom.md"
    "formats/envi.md"
    "formats/fits.md"
    "formats/genericio.md"
    "formats/gguf.md"
    "formats/grib.md"
    "formats/gzip.md"
    "formats/hdf5.md"
    "formats/las.md"
    "formats/mat.md"
    "formats/mat4.md"
    "formats/metaimage.md"
    "formats/mrc.md"
    "formats/netcdf3.md"
    "formats/nifti.md"
    "formats/npy.md"
    "formats/nrrd.md"
    "formats/ply.md"
    "formats/png.md"
    "formats/pnm.md"
    "formats/pp.md"
    "formats/raw.md"
    "formats/sac.md"
    "formats/safetensors.md"
    "formats/segy.md"
    "formats/table.md"
    "formats/tiff.md"
    "formats/trr.md"
    "formats/vtk.md"
    "formats/vtkxml.md"
    "formats/wav.md"
    "formats/zarr.md"
    "formats/zip.md"
    "formats/zlib.md"
    "lines.md"
    "reader.py"
    "reader_base.py"
    "reader_coding.py"
    "reader_crans.py"
    "reader_exact.py"
    "reader_filters.py"
    "reader_interp.py"
    "reader_linear.py"
    "reader_lines.py"
    "reader_med.py"
    "reader_repeat.py"
    "reader_scanlines.py"
    "reader_stages.py"
    "reader_streams.py"
    "registry.toml"
    "requirements.txt"
    "stages/bitpack.md"
    "stages/bitround.md"
    "stages/bitshuffle.md"
    "stages/carith.md"
    "stages/classes.md"
    "stages/constant.md"
    "stages/crans.md"
    "stages/decimal.md"
    "stages/delta.md"
    "stages/flinear.md"
    "stages/interp.md"
    "stages/lattice.md"
    "stages/linear.md"
    "stages/log.md"
    "stages/lorenzo.md"
    "stages/lzma.md"
    "stages/med.md"
    "stages/none.md"
    "stages/order.md"
    "stages/palette.md"
    "stages/pco.md"
    "stages/repeat.md"
    "stages/rotate.md"
    "stages/shuffle.md"
    "stages/store.md"
    "stages/uniform.md"
    "stages/zstd.md"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    fn files(folder: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) {
        for item in std::fs::read_dir(folder).expect("the folder is there") {
            let item = item.expect("it can be listed");
            let name = item.file_name().into_string().expect("names are text");
            // What Python and editors leave behind is no part of it.
            if name.starts_with(['.', '_']) {
                continue;
            }
            if item.file_type().expect("it can be asked").is_dir() {
                files(&item.path(), &below.join(name), found);
            } else {
                found.insert(below.join(name));
            }
        }
    }

    #[test]
    fn every_file_of_the_specification_is_embedded() {
        let mut found = BTreeSet::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec"), Path::new(""), &mut found);
        let embedded: BTreeSet<PathBuf> = super::DOCUMENTS.iter().map(|(name, _)| name.into()).collect();
        assert_eq!(embedded, found);
    }
}
