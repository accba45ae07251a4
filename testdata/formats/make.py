"""Makes the sample files with the formats' own reference libraries, and `expected.tsv` from what these
libraries read in them. The files are part of this repository, under its licence.

    pip install -r requirements.txt && python make.py

One function for each format: it writes files and yields what is in them as (file, variable, array), and
the type where NumPy has no name for it.
"""

import datetime
import shutil
import zlib
from pathlib import Path
from unittest import mock

import numpy as np

HERE = Path(__file__).parent


def smooth(shape, dtype="<f4", scale=100.0):
    """An array without two equal halves, whose values grow along every axis."""
    grid = np.indices(shape).reshape(len(shape), int(np.prod(shape)))
    values = 1.0 + sum((axis + 1) * np.sqrt(index) for axis, index in enumerate(grid))
    values = np.atleast_1d(values)
    values = scale * values / values.max()
    if np.dtype(dtype).kind == "c":
        values = values - 1j * values[::-1]
    return values.reshape(shape).astype(dtype)


def netcdf3():
    import netCDF4

    def write(file, format, records, variables):
        with netCDF4.Dataset(HERE / file, "w", format=format) as data:
            for name, length in [("time", None), ("lat", 5), ("lon", 7), ("strlen", 3)]:
                data.createDimension(name, length)
            for name, dtype, dims, attributes in variables:
                variable = data.createVariable(name, dtype, dims)
                variable.setncatts(attributes)
                variable.set_auto_maskandscale(False)
                shape = [records if dim == "time" else len(data.dimensions[dim]) for dim in dims]
                if dtype == "S1":
                    variable[:] = np.full(shape, b"a")
                else:
                    variable[:] = smooth(shape, dtype)
        with netCDF4.Dataset(HERE / file) as data:
            for name, variable in data.variables.items():
                variable.set_auto_maskandscale(False)
                variable.set_auto_chartostring(False)
                yield file, name, np.asarray(variable[:])

    days, packed = {"units": "days since 2000-01-01"}, {"scale_factor": 0.01, "add_offset": 273.15}
    lat = ("lat", "f8", ("lat",), {"units": "degrees_north"})
    yield from write("netcdf3-cdf1.nc", "NETCDF3_CLASSIC", 4, [
        lat,
        ("time", "f8", ("time",), days),
        ("t", "f4", ("time", "lat", "lon"), {"_FillValue": np.float32(-999)}),
        ("packed", "i2", ("time", "lat", "lon"), packed),
        ("flag", "i1", ("time", "lon"), {"flag_values": np.array([0, 1], "i1")}),
        ("label", "S1", ("lat", "strlen"), {}),
        ("zero", "i4", (), {}),
    ])
    yield from write("netcdf3-cdf2.nc", "NETCDF3_64BIT_OFFSET", 5, [lat, ("alone", "i2", ("time", "lon"), packed)])
    yield from write("netcdf3-cdf5.nc", "NETCDF3_64BIT_DATA", 3, [
        ("u8", "u1", ("time", "lon"), {}),
        ("u16", "u2", ("time", "lon"), {}),
        ("u32", "u4", ("lat",), {}),
        ("i64", "i8", ("lat", "lon"), {}),
        ("u64", "u8", ("time",), {}),
        ("f32", "f4", ("lat", "lon"), {}),
    ])


def fits():
    from astropy.io import fits

    def read(file):
        with fits.open(HERE / file, do_not_scale_image_data=True) as hdus:
            for number, hdu in enumerate(hdus):
                name = hdu.header.get("EXTNAME") or (str(number) if number else "PRIMARY")
                name += f",{hdu.ver}" if hdu.ver > 1 else ""
                if isinstance(hdu, fits.GroupsHDU):
                    for parameter in hdu.parnames:
                        yield file, parameter, hdu.data.par(parameter)
                    yield file, "DATA", hdu.data.data
                elif isinstance(hdu, fits.BinTableHDU):
                    for column in hdu.columns:
                        stored = np.recarray.field(hdu.data, column.name)
                        is_plain = stored.dtype.kind in "ifc" and column.dim
                        stored = hdu.data.field(column.name) if is_plain else stored
                        if stored.dtype.kind == "S":
                            stored = np.ascontiguousarray(stored).view("u1").reshape(len(stored), -1)
                        if column.format[-1] == "L":
                            stored = np.ascontiguousarray(stored).view("u1")
                        yield file, f"{name}/{column.name}", stored
                elif hdu.data is not None:
                    yield file, name, hdu.data

    images = [
        fits.PrimaryHDU(smooth((6, 9), "u2")),
        fits.ImageHDU(smooth((5, 7), ">f4"), name="SCI", ver=1),
        fits.ImageHDU(smooth((5, 7), "u1"), name="DQ", ver=1),
        fits.ImageHDU(smooth((5, 7), ">i4"), name="SCI", ver=2),
        fits.ImageHDU(smooth((2, 3, 4), ">f8")),
        fits.ImageHDU(smooth((4, 3), ">i8"), name="it's"),
    ]
    fits.HDUList(images).writeto(HERE / "fits-images.fits", overwrite=True)
    yield from read("fits-images.fits")
    ragged = np.array([smooth((n,), ">f4") for n in (3, 1, 2, 5)], dtype=object)
    columns = [
        fits.Column("TIME", "D", array=smooth((4,), "f8")),
        fits.Column("FLUX", "6E", dim="(3,2)", array=smooth((4, 2, 3))),
        fits.Column("GOOD", "L", array=[True, False, True, True]),
        fits.Column("BITS", "11X", array=smooth((4, 11), "i4") > 50),
        fits.Column("NAME", "5A", array=["ab", "cde", "f", "ghijk"]),
        fits.Column("BYTE", "B", array=smooth((4,), "u1")),
        fits.Column("SHORT", "I", bzero=32768, array=smooth((4,), "u2")),
        fits.Column("INT", "2J", array=smooth((4, 2), "i4")),
        fits.Column("LONG", "K", array=smooth((4,), "i8")),
        fits.Column("RAGGED", "PE()", array=ragged),
        fits.Column("C", "C", array=smooth((4,), "c8")),
        fits.Column("M", "M", array=smooth((4,), "c16")),
    ]
    fits.BinTableHDU.from_columns(columns, name="EVENTS").writeto(HERE / "fits-table.fits", overwrite=True)
    yield from read("fits-table.fits")
    parameters = [smooth((3,), ">f4"), smooth((3,), ">f4", 7.0)]
    groups = fits.GroupData(smooth((3, 2, 4), ">f4"), bitpix=-32, parnames=["UU", "VV"], pardata=parameters)
    fits.GroupsHDU(groups).writeto(HERE / "fits-groups.fits", overwrite=True)
    yield from read("fits-groups.fits")


def nifti():
    import nibabel

    rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours = smooth((4, 3, 2, 3), "u1").view(rgb)[..., 0]
    for file, image in [
        ("nifti-1.nii", nibabel.Nifti1Image(smooth((6, 5, 4), "<i2"), np.eye(4))),
        ("nifti-2-big.nii", nibabel.Nifti2Image(smooth((5, 4, 3, 2), ">f4"), np.eye(4), nibabel.Nifti2Header(endianness=">"))),
        ("nifti-rgb.nii", nibabel.Nifti1Image(colours, np.eye(4))),
        ("gzip-nifti.nii.gz", nibabel.Nifti1Image(smooth((9, 8, 7), "<f4"), np.eye(4))),
    ]:
        nibabel.save(image, HERE / file)
        values = np.asarray(nibabel.load(HERE / file).dataobj.get_unscaled())
        if values.dtype.names:
            values = np.stack([values[name] for name in values.dtype.names])
        yield file, "", values


def npz():
    arrays = {"grid": smooth((9, 8), ">f4"), "a/count": smooth((40,), "<i8"), "columns": np.asfortranarray(smooth((5, 6), "<f8")), "one": np.float32(3)}
    for file, save in [("zip-deflated.npz", np.savez_compressed), ("zip-stored.npz", np.savez)]:
        save(HERE / file, **arrays)
        with np.load(HERE / file) as data:
            yield from ((file, name, data[name]) for name in data.files)


def safetensors():
    import safetensors as st

    names = {"BF16": "bf16", "F8_E4M3": "u8", "BOOL": "bool"}
    types = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "BF16": "<u2", "F8_E4M3": "u1", "BOOL": "?"}
    tensors = {
        "weight": ("float32", smooth((4, 6))),
        "half": ("float16", smooth((3, 5), "<f2")),
        "brain": ("bfloat16", (smooth((3, 5)).view("<u4") >> 16).astype("<u2")),
        "eight": ("float8_e4m3fn", smooth((7,), "u1")),
        "ids": ("int64", smooth((2, 3), "<i8")),
        "mask": ("bool", smooth((5,), "<f4") > 50),
        "empty": ("float32", smooth((2, 1))[:0]),
    }
    file = "safetensors.safetensors"
    parts = {
        name: st.TensorSpec(dtype=dtype, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
        for name, (dtype, array) in tensors.items()
    }
    (HERE / file).write_bytes(st.serialize(parts, {"format": "np"}))
    for name, tensor in st.deserialize((HERE / file).read_bytes()):
        values = np.frombuffer(bytes(tensor["data"]), types[tensor["dtype"]]).reshape(tensor["shape"])
        yield file, name, values, names.get(tensor["dtype"])


def sound():
    import soundfile
    from scipy.io import wavfile

    for file, values in [("wav-u8.wav", smooth((99,), "u1")), ("wav-f32.wav", smooth((50, 2), "<f4", 1.0))]:
        wavfile.write(HERE / file, 1000, values)
        yield file, "", wavfile.read(HERE / file)[1]
    values = smooth((60, 2), "i2", 30000)
    for file, subtype, format, endian in [
        ("wav-i24.wav", "PCM_24", "WAVEX", "FILE"),
        ("wav-rf64.wav", "PCM_16", "RF64", "FILE"),
        ("wav-rifx.wav", "PCM_16", "WAV", "BIG"),
        ("aiff.aiff", "PCM_16", "AIFF", "FILE"),
        ("aiff-i24.aiff", "PCM_24", "AIFF", "FILE"),
        ("aiff-sowt.aifc", "PCM_16", "AIFF", "LITTLE"),
    ]:
        soundfile.write(HERE / file, values, 1000, subtype, endian, format)
        read = soundfile.read(HERE / file, dtype="int32")[0]
        if subtype == "PCM_16":
            yield file, "", (read >> 16).astype("i2")
        else:
            order = ">i4" if file.startswith("aiff") else "<i4"
            stored = (read >> 8).astype(order).view("u1").reshape(60, 2, 4)
            yield file, "", stored[..., 1:] if order == ">i4" else stored[..., :3]


def mrc():
    import mrcfile

    for file, values, kind in [
        ("mrc-volume.mrc", smooth((3, 4, 5), "f4"), "set_volume"),
        ("mrc-image.mrc", smooth((6, 7), "u2"), "set_image_stack"),
        ("mrc-stack.mrc", smooth((3, 4, 5), "i1"), "set_image_stack"),
        ("mrc-volumes.mrc", smooth((2, 3, 4, 5), "f2"), "set_volume"),
        ("mrc-complex.mrc", smooth((4, 5), "c8"), "set_image_stack"),
    ]:
        with mrcfile.new(HERE / file, overwrite=True) as data:
            data.set_data(values)
            if kind == "set_volume" and values.ndim == 3:
                data.set_volume()
            data.set_extended_header(np.zeros(64, "V1"))
            data.header.label[0] = "made for tests"
        with mrcfile.open(HERE / file) as data:
            yield file, "", data.data


def nrrd():
    import nrrd

    now = mock.Mock()
    now.utcnow.return_value = datetime.datetime(2000, 1, 1)
    for file, values, encoding in [
        ("nrrd.nrrd", smooth((5, 4, 3)), "raw"),
        ("nrrd-big.nrrd", smooth((7, 6), ">u2"), "raw"),
        ("nrrd-gzip.nrrd", smooth((9, 8, 7), "<i2"), "gzip"),
    ]:
        with mock.patch("nrrd.writer.datetime", now):
            nrrd.write(str(HERE / file), values, {"encoding": encoding, "key": "its value: any"})
        yield file, "", nrrd.read(str(HERE / file))[0]


def metaimage():
    import SimpleITK as sitk

    for file, values, is_vector in [("metaimage.mha", smooth((3, 4, 5)), False), ("metaimage-rgb.mha", smooth((4, 5, 3), "u1"), True)]:
        sitk.WriteImage(sitk.GetImageFromArray(values, isVector=is_vector), HERE / file)
        yield file, "", sitk.GetArrayFromImage(sitk.ReadImage(HERE / file))


def pairs():
    """Headers that stand beside their data."""
    import nibabel
    import nrrd
    import SimpleITK as sitk
    from spectral.io import envi

    for interleave, dtype, order in [("bsq", "f4", 0), ("bil", "i2", 1), ("bip", "u2", 0)]:
        header = HERE / f"envi-{interleave}.hdr"
        envi.save_image(str(header), smooth((5, 6, 4), dtype), dtype=dtype, interleave=interleave, byteorder=order, ext=".img", force=True)
        yield f"envi-{interleave}.img", "", np.asarray(envi.open(str(header)).open_memmap(interleave="source"))

    for file, values, compressed in [("meta.mhd", smooth((3, 4, 5), "i2"), False), ("meta-z.mhd", smooth((6, 7, 8), "u2"), True)]:
        sitk.WriteImage(sitk.GetImageFromArray(values), HERE / file, useCompression=compressed)
        data = file.replace("mhd", "zraw" if compressed else "raw")
        if compressed:
            # SimpleITK's own zlib is another one, whose streams stay bytes.
            stream, header = zlib.compress(values.tobytes(), 6), (HERE / file).read_text().splitlines(keepends=True)
            (HERE / data).write_bytes(stream)
            size = [f"CompressedDataSize = {len(stream)}\n" if line.startswith("CompressedDataSize") else line for line in header]
            (HERE / file).write_text("".join(size))
        yield data, "", sitk.GetArrayFromImage(sitk.ReadImage(HERE / file))

    now = mock.Mock()
    now.utcnow.return_value = datetime.datetime(2000, 1, 1)
    for file, encoding in [("detached.nhdr", "raw"), ("detached-gzip.nhdr", "gzip")]:
        with mock.patch("nrrd.writer.datetime", now):
            nrrd.write(str(HERE / file), smooth((7, 5, 4), ">f4"), {"encoding": encoding}, detached_header=True)
        data = file.replace("nhdr", "raw" if encoding == "raw" else "raw.gz")
        yield data, "", nrrd.read(str(HERE / file))[0]

    for file, image in [
        ("pair-1.hdr", nibabel.Nifti1Pair(smooth((6, 5, 4), "<f4"), np.eye(4))),
        ("pair-2.hdr", nibabel.Nifti2Pair(smooth((6, 5, 3), "<i2"), np.eye(4))),
        ("analyze.hdr", nibabel.AnalyzeImage(smooth((4, 5, 6), ">i2"), np.eye(4), nibabel.AnalyzeHeader(endianness=">"))),
    ]:
        nibabel.save(image, HERE / file)
        yield file.replace("hdr", "img"), "", np.asarray(nibabel.load(HERE / file).dataobj.get_unscaled())


def zarr():
    import itertools

    import numcodecs
    import zarr

    def made(file, **options):
        shutil.rmtree(HERE / file, ignore_errors=True)
        values = options.pop("values")
        array = zarr.create_array(HERE / file, shape=values.shape, dtype=values.dtype, fill_value=0, **options)
        array[...] = values
        return array

    second, third = {"zarr_format": 2}, {"zarr_format": 3}
    nested = {"name": "v2", "separator": "/"}
    for file, options in [
        ("zarr-2.zarr", dict(second, values=smooth((5, 6), "<f4"), chunks=(2, 4), compressors=None)),
        ("zarr-2-nested.zarr", dict(second, values=smooth((5, 6), ">i2"), chunks=(3, 6), order="F", compressors=None, chunk_key_encoding=nested)),
        ("zarr-2-gzip.zarr", dict(second, values=smooth((8, 9), "<u2"), chunks=(8, 9), compressors=numcodecs.GZip(6))),
        ("zarr-2-zlib.zarr", dict(second, values=smooth((9,), "<i8"), chunks=(9,), compressors=numcodecs.Zlib(9))),
        ("zarr-3.zarr", dict(third, values=smooth((4, 3, 5), "<f8"), chunks=(2, 3, 5), compressors=None, dimension_names=["t", "y", "x"])),
        ("zarr-3-dots.zarr", dict(third, values=smooth((4, 6), "<u4"), chunks=(4, 3), compressors=None, chunk_key_encoding={"name": "default", "separator": "."})),
        ("zarr-3-gzip.zarr", dict(third, values=smooth((6, 7), "<f4"), chunks=(6, 7), compressors=zarr.codecs.GzipCodec(level=6))),
        ("zarr-3-scalar.zarr", dict(third, values=np.array(3.5, "<f4"), chunks=(), compressors=None)),
    ]:
        array = made(file, **options)
        for index in itertools.product(*map(range, array.cdata_shape)):
            key = array.metadata.encode_chunk_key(index)
            # A chunk at a face is as long as the others, filled up.
            chunk = np.zeros(array.chunks, array.dtype)
            inside = array[tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, array.chunks))]
            chunk[tuple(map(slice, np.shape(inside)))] = inside
            yield f"{file}/{key}", file, chunk


def gguf():
    import gguf

    parts = {
        gguf.GGMLQuantizationType.Q8_0: [("d", "f2", 1), ("qs", "i1", 32)],
        gguf.GGMLQuantizationType.Q4_0: [("d", "f2", 1), ("qs", "u1", 16)],
        gguf.GGMLQuantizationType.Q5_1: [("d", "f2", 1), ("m", "f2", 1), ("qh", "u1", 4), ("qs", "u1", 16)],
        gguf.GGMLQuantizationType.Q6_K: [("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), ("d", "f2", 1)],
    }
    for file, endian in [("gguf.gguf", gguf.GGUFEndian.LITTLE), ("gguf-big.gguf", gguf.GGUFEndian.BIG)]:
        writer = gguf.GGUFWriter(HERE / file, "test", endianess=endian)
        writer.add_array("words", ["one", "two", "three"])
        writer.add_array("numbers", [1, 2, 3])
        writer.add_custom_alignment(64)
        writer.add_tensor("plain", smooth((3, 5)))
        writer.add_tensor("half", smooth((4, 3), "f2"))
        if endian == gguf.GGUFEndian.LITTLE:
            brain = (smooth((3, 2)).view("<u4") >> 16).astype("<u2").view("u1").reshape(3, 4)
            writer.add_tensor("brain", brain, raw_dtype=gguf.GGMLQuantizationType.BF16)
            for kind in parts:
                n = gguf.GGML_QUANT_SIZES[kind]
                blocks = smooth((4, n[1]), "u1", 59) if kind.name == "Q6_K" else gguf.quants.quantize(smooth((4, n[0])), kind)
                writer.add_tensor(kind.name.lower(), blocks, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        for tensor in gguf.GGUFReader(HERE / file).tensors:
            if tensor.tensor_type == gguf.GGMLQuantizationType.BF16:
                yield file, tensor.name, tensor.data.view("<u2"), "bf16"
            elif tensor.tensor_type in parts:
                fields = [(name, dtype, () if n == 1 else (n,)) for name, dtype, n in parts[tensor.tensor_type]]
                blocks = np.ascontiguousarray(tensor.data).view(np.dtype(fields)).reshape(-1)
                for name, _, _ in fields:
                    yield file, f"{tensor.name}/{name}", blocks[name]
            else:
                yield file, tensor.name, tensor.data


def images():
    from PIL import Image

    for file, values in [
        ("pnm.pgm", smooth((7, 9), "u1")),
        ("pnm.ppm", smooth((5, 6, 3), "u1")),
        ("pnm-16.pgm", smooth((5, 6), "u2", 60000)),
        ("pnm.pfm", smooth((5, 6))),
        ("bmp-gray.bmp", smooth((5, 8), "u1")),
        ("bmp-rgb.bmp", smooth((5, 7, 3), "u1")),
    ]:
        Image.fromarray(values).save(HERE / file)
        read = np.asarray(Image.open(HERE / file))
        # As the rows are stored: from the bottom up, and blue first in a BMP.
        read = read[::-1] if file.startswith("bmp") or file.endswith("pfm") else read
        read = read[..., ::-1] if file == "bmp-rgb.bmp" else read
        yield file, "", read.astype("u2") if file == "pnm-16.pgm" else read


def png():
    import imagecodecs
    from PIL import Image

    def noisy(shape, scale, samples=1):
        """Without noise, the records of an image take more than its stream; waves are hard to predict for PNG."""
        noise = np.random.default_rng(7).integers(-4, 5, shape)
        waves = np.sin(np.indices(shape).sum(0) / 2)
        values = smooth(shape, "f8", scale) * (3 + waves) / 4
        return np.stack([np.clip(values * (4 - k) / 4 + noise * scale / 250, 0, scale) for k in range(samples)], -1).squeeze()

    for file, values, options in [
        ("png-grey.png", noisy((90, 110), 250), {"optimize": True}),
        ("png-rgb.png", noisy((50, 60), 250, 3), {}),
        ("png-alpha.png", noisy((50, 70), 250, 2), {"compress_level": 1}),
    ]:
        Image.fromarray(values.astype("u1"), {2: "LA"}.get(values.shape[-1])).save(HERE / file, **options)
        yield file, "", np.asarray(Image.open(HERE / file))

    file = "png-palette.png"
    image = Image.fromarray(noisy((90, 110), 40).astype("u1"))
    image.putpalette(bytes(range(120)))
    image.save(HERE / file)
    yield file, "", np.asarray(Image.open(HERE / file))

    file = "png-bits.png"
    Image.fromarray(noisy((300, 515), 250) > 150).save(HERE / file)
    yield file, "", np.packbits(np.asarray(Image.open(HERE / file)), axis=1)

    file = "png-16.png"
    (HERE / file).write_bytes(imagecodecs.png_encode(noisy((40, 50), 60000, 4).astype("u2"), level=9))
    yield file, "", imagecodecs.png_decode((HERE / file).read_bytes())


def sac():
    from obspy.io.sac import SACTrace

    for file, order in [("sac.sac", "little"), ("sac-big.sac", "big")]:
        SACTrace(data=smooth((100,)), delta=0.01, kstnm="TEST").write(str(HERE / file), byteorder=order)
        yield file, "", SACTrace.read(str(HERE / file)).data


def ply():
    from plyfile import PlyData, PlyElement

    vertices = np.zeros(6, [("x", "f4"), ("y", "f4"), ("z", "f8"), ("red", "u1"), ("id", "i2")])
    for n, name in enumerate(vertices.dtype.names):
        vertices[name] = smooth((6,), "f8", 10.0 + n)
    faces = np.zeros(4, [("vertex_indices", "i4", (3,)), ("quality", "f4")])
    faces["vertex_indices"] = smooth((4, 3), "i4", 6.0)
    for file, order in [("ply.ply", "<"), ("ply-big.ply", ">")]:
        elements = [PlyElement.describe(vertices, "vertex"), PlyElement.describe(faces, "face")]
        PlyData(elements, byte_order=order).write(str(HERE / file))
        for element in PlyData.read(str(HERE / file), mmap=False).elements:
            for name in element.data.dtype.names:
                values = element[name]
                yield file, f"{element.name}/{name}", np.stack(values) if values.dtype == object else values


def tiff():
    import PIL.Image
    import tifffile

    one, planar = smooth((20, 30), "u2", 9000), smooth((3, 10, 12))
    # Rows that do not fill the last strip, in strips that follow one another.
    tifffile.imwrite(HERE / "tiff.tif", one, rowsperstrip=8)
    tifffile.imwrite(HERE / "tiff-big.tif", smooth((9, 11, 3), "u1"), byteorder=">", bigtiff=True, photometric="rgb")
    tifffile.imwrite(HERE / "tiff-planar.tif", planar, planarconfig="separate", photometric="rgb")
    tifffile.imwrite(HERE / "tiff-tiles.tif", smooth((20, 40)), tile=(16, 32))
    tifffile.imwrite(HERE / "tiff-tiles-rgb.tif", smooth((20, 20, 3), "i1"), tile=(16, 16), photometric="rgb", byteorder=">")
    tifffile.imwrite(HERE / "tiff-deflate.tif", one, rowsperstrip=8, compression="zlib", predictor=2)
    tifffile.imwrite(HERE / "tiff-deflate-rgb.tif", smooth((20, 20, 3), "u2", 9000), tile=(16, 16), photometric="rgb", compression="zlib", predictor=2, byteorder=">")
    tifffile.imwrite(HERE / "tiff-deflate-float.tif", smooth((20, 40)), rowsperstrip=9, compression="zlib", predictor=3)
    # libtiff's LZW, and imagecodecs'.
    PIL.Image.fromarray(one.repeat(3, 0)).save(HERE / "tiff-lzw.tif", compression="tiff_lzw")
    tifffile.imwrite(HERE / "tiff-lzw-tiles.tif", one, tile=(16, 16), compression="lzw", predictor=2, byteorder=">")
    with tifffile.TiffWriter(HERE / "tiff-pages.tif") as pages:
        pages.write(one.astype("c8"), subifds=1, metadata=None)
        pages.write(one[::2, ::2].astype("f2"), subfiletype=1, metadata=None)
        pages.write(one, compression="zlib", metadata=None)
        pages.write(one.astype("i4"), metadata=None)
    names = ["", "-big", "-planar", "-tiles", "-tiles-rgb", "-pages", "-deflate", "-deflate-rgb", "-deflate-float", "-lzw", "-lzw-tiles"]
    for file in [f"tiff{name}.tif" for name in names]:
        with tifffile.TiffFile(HERE / file) as pages:
            for number, page in enumerate(pages.pages):
                yield file, str(number) if len(pages.pages) > 1 else "", page.asarray()
                for below, sub in enumerate(page.pages or []):
                    yield file, f"{number}/{below}", sub.asarray()


def dicom():
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    def write(file, syntax, pixels, frames=None, samples=1):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = syntax
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
        icon = Dataset()
        icon.PixelData = b"icon"
        icon["PixelData"].VR = "OB"
        data.IconImageSequence = [icon]
        data.IconImageSequence.is_undefined_length = True
        data["IconImageSequence"].is_undefined_length = True
        shape = pixels.shape[1:] if frames else pixels.shape
        data.Rows, data.Columns, data.SamplesPerPixel = shape[0], shape[1], samples
        if frames:
            data.NumberOfFrames = frames
        if samples > 1:
            data.PlanarConfiguration = 0
        data.PhotometricInterpretation = "RGB" if samples > 1 else "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 8 * pixels.itemsize
        data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
        big = syntax == ExplicitVRBigEndian
        data.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
        data["PixelData"].VR = "OW" if pixels.itemsize > 1 else "OB"
        data.save_as(HERE / file, enforce_file_format=True, little_endian=not big, implicit_vr=syntax == ImplicitVRLittleEndian)
        yield file, "PixelData", pydicom.dcmread(HERE / file).pixel_array

    yield from write("dicom-implicit.dcm", ImplicitVRLittleEndian, smooth((14, 10), "u2", 3000))
    yield from write("dicom-frames.dcm", ExplicitVRLittleEndian, smooth((3, 8, 10), "i2", 3000), frames=3)
    yield from write("dicom-rgb.dcm", ExplicitVRLittleEndian, smooth((9, 9, 3), "u1"), samples=3)
    yield from write("dicom-big.dcm", ExplicitVRBigEndian, smooth((14, 10), "u2", 3000))


def segy():
    import segyio

    def write(file, code, endian, dtype):
        spec = segyio.spec()
        spec.format, spec.samples, spec.tracecount, spec.endian = code, np.arange(50) * 4.0, 6, endian
        values = smooth((6, 50), dtype)
        with segyio.create(HERE / file, spec) as out:
            out.text[0] = segyio.tools.create_text_header({1: "A SAMPLE"})
            out.bin.update({segyio.BinField.Samples: 50, segyio.BinField.Format: code})
            for i in range(6):
                fields = {segyio.TraceField.TRACE_SAMPLE_COUNT: 50, segyio.TraceField.CDP: 100 + i, segyio.TraceField.SourceX: -i}
                out.header[i] = fields
                out.trace[i] = values[i]
        with segyio.open(HERE / file, ignore_geometry=True, endian=endian) as read:
            for field in segyio.TraceField.enums():
                ends = [int(other) for other in segyio.TraceField.enums() if int(other) > int(field)]
                width = min(ends + [241]) - int(field)
                yield file, str(field), read.attributes(int(field))[:].astype(f"i{width}")
            samples = read.trace.raw[:]
        if code == 1:
            # IBM floats are kept as bits, which no reader gives: those of the file.
            traces = (HERE / file).read_bytes()[3600:]
            samples = np.frombuffer(traces, ">u4").reshape(6, 110)[:, 60:]
        yield file, "trace", samples

    yield from write("segy-ibm.sgy", 1, "big", "f4")
    yield from write("segy-little.sgy", 3, "little", "i2")


def pp():
    import iris
    import iris.coords
    import iris.cube
    import iris.fileformats.pp

    def cube(values, stash, height):
        lat = iris.coords.DimCoord(np.linspace(-20, 20, 8), "latitude", units="degrees")
        lon = iris.coords.DimCoord(np.linspace(0, 90, 12), "longitude", units="degrees")
        cube = iris.cube.Cube(values, dim_coords_and_dims=[(lat, 0), (lon, 1)], attributes={"STASH": stash})
        cube.add_aux_coord(iris.coords.AuxCoord(height, "height", units="m"))
        return cube

    def stash(item):
        return iris.fileformats.pp.STASH(1, 0, item)

    # Two fields of one kind with another between them.
    cubes = [cube(smooth((8, 12)) * n, stash(item), float(n)) for n, item in [(1, 4), (2, 33), (3, 4)]]
    for n, one in enumerate(cubes):
        iris.fileformats.pp.save(one, str(HERE / "pp.pp"), append=n > 0)
    fields = list(iris.fileformats.pp.load(str(HERE / "pp.pp")))
    for name in {str(field.stash) for field in fields}:
        values = [field.data for field in fields if str(field.stash) == name]
        yield "pp.pp", name, np.stack(values) if len(values) > 1 else values[0]


def grib():
    import eccodes

    def packed(message):
        """The integers of simple packing, worked out from what the library makes of them."""
        get = lambda key: eccodes.codes_get(message, key)
        values = eccodes.codes_get_array(message, "values")
        values = values.reshape(get("Nj"), get("Ni"))
        if get("packingType") == "grid_ieee":
            return values.astype("f4" if get("precision") == 1 else "f8")
        scaled = (values * 10.0 ** get("decimalScaleFactor") - get("referenceValue")) / 2.0 ** get("binaryScaleFactor")
        return np.rint(scaled).astype(next(f"u{size}" for size in (1, 2, 4) if get("bitsPerValue") <= 8 * size))

    def write(file, sample, messages):
        with open(HERE / file, "wb") as out:
            for n, (bits, packing, parameter) in enumerate(messages):
                message = eccodes.codes_grib_new_from_samples(sample)
                for key, value in {"Ni": 12, "Nj": 8, "dataDate": 20200101 + n, **parameter}.items():
                    eccodes.codes_set(message, key, value)
                eccodes.codes_set(message, "packingType", packing)
                if bits:
                    eccodes.codes_set(message, "bitsPerValue", bits)
                values = smooth((96,), "f8") + n
                eccodes.codes_set_array(message, "values", values)
                eccodes.codes_write(message, out)
                eccodes.codes_release(message)
        found = {}
        with open(HERE / file, "rb") as read:
            while (message := eccodes.codes_grib_new_from_file(read)) is not None:
                keys = ["indicatorOfParameter", "table2Version"]
                keys = keys if eccodes.codes_get(message, "edition") == 1 else ["discipline", "parameterCategory", "parameterNumber"]
                name = ".".join(str(eccodes.codes_get(message, key, int)) for key in keys)
                values = packed(message)
                found.setdefault((name, values.dtype.str, eccodes.codes_get(message, "bitsPerValue")), []).append(values)
                eccodes.codes_release(message)
        for (name, _, _), values in found.items():
            yield file, name, np.stack(values) if len(values) > 1 else values[0]

    first = {"indicatorOfParameter": 167, "table2Version": 128}
    yield from write("grib-1.grib", "regular_ll_sfc_grib1", [(16, "grid_simple", first), (12, "grid_simple", first), (16, "grid_simple", first)])
    yield from write("grib-1-bits.grib", "regular_ll_sfc_grib1", [
        (bits, "grid_simple", {"indicatorOfParameter": bits, "table2Version": 128}) for bits in (1, 7, 12, 24, 30, 12)
    ])
    second = {"parameterCategory": 0, "parameterNumber": 4}
    yield from write("grib-2.grib", "regular_ll_sfc_grib2", [
        (8, "grid_simple", second),
        (16, "grid_simple", second),
        (None, "grid_ieee", second),
        (8, "grid_simple", second),
    ])
    yield from write("grib-2-bits.grib", "regular_ll_sfc_grib2", [
        (bits, "grid_simple", {"parameterCategory": 0, "parameterNumber": bits}) for bits in (3, 9, 9, 17, 24)
    ])


def las():
    import laspy

    for file, format, version, extra in [("las-1.las", 1, "1.2", False), ("las-7.las", 7, "1.4", True)]:
        header = laspy.LasHeader(point_format=format, version=version)
        header.creation_date = datetime.date(2020, 1, 1)
        header.scales = [0.01, 0.01, 0.001]
        if extra:
            header.add_extra_dims([laspy.ExtraBytesParams("height", "f4"), laspy.ExtraBytesParams("echo", "u2")])
        cloud = laspy.LasData(header)
        for n, name in enumerate(header.point_format.dtype().names):
            dtype = header.point_format.dtype()[name]
            values = smooth((40,), dtype.str, 50 + n)
            if n == 0:
                cloud.points = laspy.ScaleAwarePointRecord.zeros(40, header=header)
            cloud.points.array[name] = values
        cloud.write(HERE / file)
        points = laspy.read(HERE / file).points.array
        for name in points.dtype.names:
            yield file, name, points[name]


def molecules():
    from MDAnalysis.lib.formats.libdcd import DCDFile
    from MDAnalysis.lib.formats.libmdaxdr import TRRFile

    with DCDFile(str(HERE / "dcd.dcd"), "w") as out:
        out.write_header("a sample", natoms=25, istart=0, nsavc=1, delta=1.0, is_periodic=1)
        for n in range(4):
            out.write(smooth((25, 3)) + n, box=[20 + n, 30, 40, 90, 90, 90])
    with DCDFile(str(HERE / "dcd.dcd")) as read:
        frames = read.readframes()
    for axis, name in enumerate("xyz"):
        yield "dcd.dcd", name, frames.xyz[:, :, axis]
    # As stored: lengths and cosines or angles in CHARMM's order, which readers sort.
    cells = np.frombuffer((HERE / "dcd.dcd").read_bytes()[-4 * (56 + 3 * 108):], "u1").reshape(4, -1)[:, 4:52]
    yield "dcd.dcd", "unitcell", np.ascontiguousarray(cells).view("<f8")

    for file, rare in [("trr.trr", 1), ("trr-unequal.trr", 2)]:
        with TRRFile(str(HERE / file), "w") as out:
            for n in range(4):
                forces = smooth((25, 3)) - n if n % rare == 0 else None
                out.write(smooth((25, 3)) + n, smooth((25, 3)) * n, forces, np.eye(3, dtype="f4") * 5, n, n * 0.5, 0.0, 25)
        with TRRFile(str(HERE / file)) as read:
            frames = [(frame.x.copy(), frame.v.copy(), frame.f.copy(), frame.hasf, frame) for frame in read]
        found = {"x": [f[0] for f in frames], "v": [f[1] for f in frames], "f": [f[2] for f in frames if f[3]]}
        if rare == 1:
            found["step"] = [np.int32(frame.step) for *_, frame in frames]
            found["time"] = [np.float32(frame.time) for *_, frame in frames]
            found["lambda"] = [np.float32(frame.lmbda) for *_, frame in frames]
            found["box"] = [frame.box for *_, frame in frames]
        for name, values in found.items():
            yield file, name, np.stack(values)


def vtk():
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    def attach(target, name, values):
        array = numpy_to_vtk(values, deep=True)
        array.SetName(name)
        target.AddArray(array)

    def image():
        data = vtk.vtkImageData()
        data.SetDimensions(5, 4, 3)
        attach(data.GetPointData(), "a b", smooth((60,)))
        attach(data.GetPointData(), "flow", smooth((60, 3), "f8"))
        attach(data.GetCellData(), "level", smooth((24,), "i2"))
        return data

    def larger_image():
        data = vtk.vtkImageData()
        data.SetDimensions(12, 10, 8)
        attach(data.GetPointData(), "heat", smooth((960,)))
        attach(data.GetCellData(), "flow", smooth((693, 3)))
        return data

    def points():
        data = vtk.vtkUnstructuredGrid()
        place = vtk.vtkPoints()
        place.SetData(numpy_to_vtk(smooth((8, 3)), deep=True))
        data.SetPoints(place)
        data.InsertNextCell(vtk.VTK_TETRA, 4, [0, 1, 2, 3])
        data.InsertNextCell(vtk.VTK_TETRA, 4, [4, 5, 6, 7])
        attach(data.GetPointData(), "heat", smooth((8,), "f8"))
        attach(data.GetCellData(), "id", smooth((2,), "u1"))
        return data

    def found(file, data, grids):
        for attributes, grid in zip([data.GetPointData(), data.GetCellData()], grids):
            for i in range(attributes.GetNumberOfArrays()):
                values = vtk_to_numpy(attributes.GetArray(i))
                # Values on a grid, which VTK lists, have its shape.
                yield file, attributes.GetArrayName(i), values.reshape((*(grid or values.shape[:1]), *values.shape[1:]))

    box = [(3, 4, 5), (2, 3, 4)]
    for file, version in [("vtk.vtk", 42), ("vtk-mesh.vtk", 42), ("vtk-mesh-51.vtk", 51)]:
        mesh = file != "vtk.vtk"
        writer = vtk.vtkUnstructuredGridWriter() if mesh else vtk.vtkStructuredPointsWriter()
        writer.SetFileName(str(HERE / file))
        writer.SetFileVersion(version)
        writer.SetFileTypeToBinary()
        writer.SetInputData(points() if mesh else image())
        writer.Write()
        reader = vtk.vtkUnstructuredGridReader() if mesh else vtk.vtkStructuredPointsReader()
        reader.SetFileName(str(HERE / file))
        reader.ReadAllScalarsOn()
        reader.ReadAllVectorsOn()
        reader.ReadAllFieldsOn()
        reader.Update()
        data = reader.GetOutput()
        yield from found(file, data, [None, None] if mesh else box)
        if mesh:
            cells = data.GetCells()
            yield file, "points", vtk_to_numpy(data.GetPoints().GetData())
            yield file, "cell_types", vtk_to_numpy(data.GetCellTypes()).astype("i4")
            offsets, ends = vtk_to_numpy(cells.GetOffsetsArray()), vtk_to_numpy(cells.GetConnectivityArray())
            if version == 51:
                yield file, "cells/offsets", offsets.astype("i8")
                yield file, "cells/connectivity", ends.astype("i8")
            else:
                yield file, "cells", np.concatenate([[4, *ends[:4]], [4, *ends[4:]]]).astype("i4")

    for file, wide, big, inline, base64, block in [
        ("vtk.vti", False, False, False, False, None),
        ("vtk-big.vti", True, True, False, False, None),
        ("vtk.vtu", True, False, False, False, None),
        ("vtk-base64.vti", False, True, True, True, None),
        ("vtk-base64.vtu", True, False, False, True, None),
        # Large enough that it pays to make the streams again.
        ("vtk-zlib.vti", False, True, True, True, 2000),
        ("vtk-zlib-raw.vti", True, False, False, False, 1 << 15),
        ("vtk-zlib-base64.vti", True, False, False, True, 8000),
    ]:
        mesh = file.endswith(".vtu")
        writer = vtk.vtkXMLUnstructuredGridWriter() if mesh else vtk.vtkXMLImageDataWriter()
        writer.SetFileName(str(HERE / file))
        writer.SetDataModeToBinary() if inline else writer.SetDataModeToAppended()
        writer.SetEncodeAppendedData(base64)
        if block:
            writer.SetCompressorTypeToZLib()
            writer.SetBlockSize(block)
        else:
            writer.SetCompressorTypeToNone()
        writer.SetHeaderTypeToUInt64() if wide else writer.SetHeaderTypeToUInt32()
        writer.SetByteOrderToBigEndian() if big else writer.SetByteOrderToLittleEndian()
        writer.SetInputData(points() if mesh else larger_image() if block else image())
        writer.Write()
        reader = vtk.vtkXMLUnstructuredGridReader() if mesh else vtk.vtkXMLImageDataReader()
        reader.SetFileName(str(HERE / file))
        reader.Update()
        data = reader.GetOutput()
        yield from found(file, data, [None, None] if mesh else [(8, 10, 12), (7, 9, 11)] if block else box)
        if mesh:
            yield file, "Points", vtk_to_numpy(data.GetPoints().GetData())
            yield file, "Cells/connectivity", vtk_to_numpy(data.GetCells().GetConnectivityArray())
            # The file has where cells end; VTK has where they begin, too.
            yield file, "Cells/offsets", vtk_to_numpy(data.GetCells().GetOffsetsArray())[1:]
            yield file, "Cells/types", vtk_to_numpy(data.GetCellTypes()).astype("u1")


def mat():
    import scipy.io

    arrays = {
        "a": smooth((5, 7), "f8"),
        "with_a_long_name": smooth((3, 4, 2), "i2"),
        "mask": np.array([[True, False, True]]),
        "z": smooth((4, 3), "c16"),
        "text": "not an array",
        "list": np.array([1, "b"], dtype=object),
        "last": smooth((2, 9), "f4"),
    }
    for file, deflated in [("mat.mat", False), ("mat-deflated.mat", True)]:
        with mock.patch("time.asctime", lambda: "a sample"):
            scipy.io.savemat(HERE / file, arrays, do_compression=deflated)
        for name, values in scipy.io.loadmat(HERE / file).items():
            if isinstance(values, np.ndarray) and values.dtype.kind == "c":
                yield file, f"{name}.real", values.real
                yield file, f"{name}.imag", values.imag
            elif isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
                yield file, name, values

    scipy.io.savemat(HERE / "mat-4.mat", {"val": smooth((3, 50), "i2"), "text": "text", "z": smooth((4, 3), "c16")}, format="4")
    for name, values in scipy.io.loadmat(HERE / "mat-4.mat").items():
        if values.dtype.kind == "c":
            yield "mat-4.mat", f"{name}.real", values.real
            yield "mat-4.mat", f"{name}.imag", values.imag
        elif values.dtype.kind != "U":
            yield "mat-4.mat", name, values


def arrow():
    import pyarrow
    import pyarrow.feather
    import pyarrow.ipc

    columns = {
        "f": pyarrow.array(smooth((30,), "f8")),
        "text": pyarrow.array([f"row {n}" for n in range(30)]),
        "i": pyarrow.array(smooth((30,), "i2")),
        "flag": pyarrow.array([n % 3 == 0 for n in range(30)]),
        "half": pyarrow.array(smooth((30,), "f2")),
        "pair": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(smooth((60,), "f4")), 2),
        "kind": pyarrow.array(["a", "b", "c"] * 10).dictionary_encode(),
        "day": pyarrow.array(range(30), pyarrow.date32()),
        "at": pyarrow.array(range(30), pyarrow.timestamp("us")),
        "u": pyarrow.array(smooth((30,), "u8")),
    }
    table = pyarrow.table(columns)
    pyarrow.feather.write_feather(table, HERE / "arrow.feather", compression="uncompressed")
    with pyarrow.ipc.new_file(HERE / "arrow-batches.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=20)
    for file in ["arrow.feather", "arrow-batches.arrow"]:
        with pyarrow.ipc.open_file(HERE / file) as read:
            for number in range(read.num_record_batches):
                prefix = f"{number}/" if read.num_record_batches > 1 else ""
                batch = read.get_batch(number)
                for name in batch.schema.names:
                    values = batch.column(name)
                    if name == "pair":
                        yield file, f"{prefix}pair/{values.type.value_field.name}", values.flatten().to_numpy()
                    elif name == "kind":
                        yield file, prefix + name, values.indices.to_numpy()
                    elif name in ["day", "at"]:
                        width = 4 if name == "day" else 8
                        yield file, prefix + name, values.view(pyarrow.int32() if width == 4 else pyarrow.int64()).to_numpy()
                    elif name not in ["text", "flag"]:
                        yield file, prefix + name, values.to_numpy()


def hdf5():
    import h5py

    def storage(group, name, values, maxshape=None, chunks=None, alloc_early=False, compact=False):
        """A dataset of kinds that h5py's own call does not make."""
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_obj_track_times(False)
        if compact:
            properties.set_layout(h5py.h5d.COMPACT)
        if chunks:
            properties.set_chunk(chunks)
        if alloc_early:
            properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple(values.shape, maxshape or values.shape)
        h5py.Dataset(h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(values.dtype), space, properties))[...] = values

    def indexes(group, values, filters):
        storage(group, "implicit", values, (25, 30), (4, 5), alloc_early=True)
        group.create_dataset("single", data=values, chunks=(10, 11))
        group.create_dataset("single filtered", data=values, chunks=(10, 11), **filters)
        group.create_dataset("limited", data=values, chunks=(4, 5), maxshape=(20, 19))
        group.create_dataset("limited filtered", data=values, chunks=(4, 5), maxshape=(20, 19), **filters)
        group.create_dataset("extensible", data=values, chunks=(1, 2), maxshape=(None, 20))
        group.create_dataset("extensible filtered", data=values, chunks=(4, 5), maxshape=(10, None), **filters)
        group.create_dataset("free", data=values, chunks=(1, 2), maxshape=(None, None))

    def fill(file, version):
        values, filters = smooth((10, 11)), {"compression": 4, "shuffle": True, "fletcher32": True}
        file["whole"] = values
        file["whole"].attrs["coordinates"] = "lat"
        file["scalar"] = 3.5
        file["empty"] = np.zeros((0, 3), "i2")
        file["nothing"] = h5py.Empty("f4")
        file["text"] = ["one", "two"]
        file["bool"] = np.arange(9) % 2 == 0
        big = np.dtype(">f8")
        if version == "earliest":
            # Named types of later versions have the time at which they are made.
            file["named"] = big
            big = file["named"]
        file.create_dataset("big", data=smooth((7,), ">f8"), dtype=big)
        storage(file, "compact", smooth((3, 4), ">u2"), compact=True)
        # Groups that are made on the way to others have the time at which they are made.
        file.create_group("a").create_group("b").create_dataset("deep", data=smooth((5, 4), "f2"))
        file["a/loop"], file["a/again"] = file["/"], file["whole"]
        file["soft"], file["outside"] = h5py.SoftLink("/whole"), h5py.ExternalLink("other.h5", "/whole")
        chunked = file.create_group("chunked")
        chunked.create_dataset("free filtered", data=values, chunks=(4, 5), maxshape=(None, None), **filters)
        if version == "latest":
            indexes(chunked, values, filters)
        chunked.create_dataset("sparse", (40, 30), ">f4", chunks=(6, 7), fillvalue=-9.5)[13:20, 8] = 1.0
        masked = chunked.create_dataset("masked", (4, 100), "i4", chunks=(4, 50), compression=9, shuffle=True)
        masked[...] = smooth((4, 100), "i4")
        masked.id.write_direct_chunk((0, 0), zlib.compress(masked[:, :50].tobytes(), 9), filter_mask=1)
        masked.id.write_direct_chunk((0, 50), masked[:, 50:].tobytes(), filter_mask=3)
        chunked.create_dataset("lzf", data=values, chunks=(4, 5), compression="lzf")
        many = file.create_group("many")
        for n in range(10):
            many.create_dataset(f"a name that needs room {n:02}", data=smooth((n + 1,), "i4"))
            file["whole"].attrs[f"an attribute {n:02}"] = n

    def read(file):
        found = []
        with h5py.File(HERE / file) as data:
            def visit(name, item):
                if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and item.shape is not None and item.compression != "lzf":
                    values = item[()].view("i1") if item.dtype.kind == "b" else item[()]
                    found.append((file, f"/{name}" if "/" in name else name, values))
            data.visititems(visit)
        return found

    for file, version, block in [("hdf5-earliest.h5", "earliest", 512), ("hdf5-v108.h5", "v108", 0), ("hdf5-latest.h5", "latest", 1024)]:
        with h5py.File(HERE / file, "w", libver=version, userblock_size=block) as data:
            fill(data, version)
        yield from read(file)
    with h5py.File(HERE / "hdf5-pages.h5", "w", libver="latest") as data:
        data.create_dataset("limited filtered", (1100,), "u1", chunks=(1,), compression=1)[1030:1040] = smooth((10,), "u1")
        data.create_dataset("extensible", (140000,), "u1", chunks=(1,), maxshape=(None,))[133200:133210] = smooth((10,), "u1")
    yield from read("hdf5-pages.h5")

    point = np.dtype([("x", "<f4"), ("y", ">f8")], align=True)
    colours = h5py.enum_dtype({"red": 1, "a colour of a long name": 2}, "u1")
    record = np.dtype([
        ("id", "<u2"), ("label", "S5"), ("at", point), ("v", "<f4", (2, 3)), ("many", point, (2,)), ("colour", colours), ("c", "<c8"),
    ])  # fmt: skip
    for file, version in [("hdf5-records-earliest.h5", "earliest"), ("hdf5-records-latest.h5", "latest")]:
        with h5py.File(HERE / file, "w", libver=version) as data:
            for name, shape in [("line", (30,)), ("plane", (4, 5)), ("one", ())]:
                values = np.zeros(shape, record)
                for n, field in enumerate(["id", "colour", "c", "v"]):
                    values[field] = smooth((*values[field].shape, 2), values[field].dtype, 50 + n)[..., 1]
                values["at"]["x"], values["at"]["y"] = smooth((*shape, 2))[..., 0], smooth((*shape, 3))[..., 2]
                data.create_dataset(f"table/{name}" if name == "one" else name, data=values)
            data["wave"] = smooth((40, 2), "<c16")
            data.create_dataset("waves", data=smooth((40, 30), ">c8"), chunks=(16, 30), compression=4, shuffle=True)
        with h5py.File(HERE / file) as data:
            for name in ["line", "plane", "table/one"]:
                values = data[name][()].reshape(-1)
                # A scalar is one record, and records are numbered in the order of storage.
                shown = f"/{name}" if "/" in name else name
                for field in ["id", "colour", "c", "v"]:
                    yield file, f"{shown}/{field}", values[field]
                for field in ["x", "y"]:
                    yield file, f"{shown}/at/{field}", values["at"][field]
            yield from ((file, name, data[name][()]) for name in ["wave", "waves"])


def netcdf4():
    import netCDF4

    file = "netcdf4.nc"
    with netCDF4.Dataset(HERE / file, "w") as data:
        for name, length in [("time", None), ("lat", 5), ("lon", 7), ("bnds", 2), ("own", 4)]:
            data.createDimension(name, length)
        filters = {"zlib": True, "complevel": 5, "shuffle": True, "fletcher32": True, "chunksizes": (2, 5, 4)}
        packed = {"scale_factor": 0.01, "add_offset": 273.15, "coordinates": "height"}
        days = {"units": "days since 2000-01-01", "bounds": "time_bnds"}
        inner = data.createGroup("model").createGroup("ocean")
        for group, name, dtype, dims, attributes, how in [
            (data, "time", "f8", ("time",), days, {}),
            (data, "time_bnds", "f8", ("time", "bnds"), {}, {}),
            (data, "lat", "f4", ("lat",), {"units": "degrees_north"}, {}),
            (data, "height", "f4", (), {"positive": "up"}, {}),
            (data, "own", "f4", ("lat", "own"), {}, {}),
            (data, "packed", "i2", ("time", "lat", "lon"), packed, filters),
            (data, "flag", "i1", ("time", "lon"), {"flag_values": np.array([0, 1], "i1")}, {}),
            (inner, "temp", "f4", ("time", "lat", "lon"), {f"attribute {n}": n for n in range(12)}, filters),
            (inner, "big", ">i8", ("lat", "lon"), {}, {"endian": "big"}),
        ]:
            variable = group.createVariable(name, dtype, dims, **how)
            variable.setncatts(attributes)
            variable.set_auto_maskandscale(False)
            shape = [3 if dim == "time" else len(data.dimensions[dim]) for dim in dims]
            variable[tuple(slice(0, extent) for extent in shape)] = smooth(shape, dtype)
    with netCDF4.Dataset(HERE / file) as data:
        for group, path in [(data, ""), (data["model/ocean"], "/model/ocean/")]:
            for name, variable in group.variables.items():
                variable.set_auto_maskandscale(False)
                yield file, path + name, np.asarray(variable[...])


def table():
    count, path = 1250, HERE / "table.csv"
    depth, flux = smooth((count,), "f8").round(2), smooth((count,), "f8", 1e-3)
    flux = np.array([float(f"{value:.6g}") for value in flux])
    flags = np.array(["good", "poor"])[np.arange(count) % 7 // 6]
    lines = (f"{i},{d:.2f},{'' if i == 9 else repr(float(f))},{flag}" for i, (d, f, flag) in enumerate(zip(depth, flux, flags)))
    path.write_text("\n".join(["time,depth (m),flux,flag", *lines, ""]))
    read = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")
    for name, column, dtype in zip(["time", "depth (m)", "flux", "flag"], read.dtype.names, ["i4", "f8", "f8", "u1"]):
        _, first, numbers = np.unique(read[column], return_index=True, return_inverse=True)
        numbers = np.argsort(np.argsort(first))[numbers]
        yield path.name, name, (numbers if name == "flag" else read[column]).astype(dtype)

    path = HERE / "table-atoms.xyz"
    places = smooth((1000, 3), "f8").round(4)
    names = np.array(["H", "Cl", "O"])[np.arange(1000) % 5 % 3]
    lines = (f"{name:<2}  {x:10.4f}{y:10.4f}{z:10.4f}" for name, (x, y, z) in zip(names, places))
    path.write_text("\r\n".join(["1000", "made by hand", *lines, ""]), newline="")
    yield path.name, "column1", np.array([0, 1, 2])[np.arange(1000) % 5 % 3].astype("u1")
    read = np.loadtxt(path, skiprows=2, usecols=(1, 2, 3))
    for k in range(3):
        yield path.name, f"column{k + 2}", read[:, k]

    path = HERE / "table-grid.asc"
    np.savetxt(path, smooth((60, 40), "f8"), "%.3e", header="ncols 40\nnrows 60", comments="")
    yield path.name, "column1", np.loadtxt(path, skiprows=2)


FORMATS = [
    netcdf3, fits, nifti, npz, safetensors, sound, mrc, nrrd, metaimage, pairs, zarr, gguf, images, png, sac, ply,
    tiff, dicom, segy, pp, grib, las, molecules, vtk, mat, arrow, hdf5, netcdf4, table,
]


def row(file, variable, values, name=None):
    values = np.ascontiguousarray(values) if values.ndim else values
    values = values.view("u1") if values.dtype.kind == "S" else values
    values = values.astype(values.dtype.newbyteorder("<"))
    kinds = {"b": "bool", "u": "u", "i": "i", "f": "f", "c": "c"}
    kind = kinds[values.dtype.kind]
    name = name or (kind if kind == "bool" else f"{kind}{8 * values.dtype.itemsize}")
    shape = "x".join(str(extent) for extent in values.shape) or "-"
    return f"{file}\t{variable}\t{name}\t{shape}\t{zlib.crc32(values.tobytes()):08x}"


if __name__ == "__main__":
    rows = [row(*found) for function in FORMATS for found in function()]
    (HERE / "expected.tsv").write_text("".join(f"{line}\n" for line in sorted(rows)))
