"""Makes the sample files with the formats' own reference libraries, and `expected.tsv` from what these
libraries read in them. The files are part of this repository, under its licence.

    pip install -r requirements.txt && python make.py

One function for each format: it writes files and yields what is in them as (file, variable, array), and
the type where NumPy has no name for it.
"""

import datetime
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
    ]:
        nibabel.save(image, HERE / file)
        values = np.asarray(nibabel.load(HERE / file).dataobj.get_unscaled())
        if values.dtype.names:
            values = np.stack([values[name] for name in values.dtype.names])
        yield file, "", values


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
    for file, values in [("nrrd.nrrd", smooth((5, 4, 3))), ("nrrd-big.nrrd", smooth((7, 6), ">u2"))]:
        with mock.patch("nrrd.writer.datetime", now):
            nrrd.write(str(HERE / file), values, {"encoding": "raw", "key": "its value: any"})
        yield file, "", nrrd.read(str(HERE / file))[0]


def metaimage():
    import SimpleITK as sitk

    for file, values, is_vector in [("metaimage.mha", smooth((3, 4, 5)), False), ("metaimage-rgb.mha", smooth((4, 5, 3), "u1"), True)]:
        sitk.WriteImage(sitk.GetImageFromArray(values, isVector=is_vector), HERE / file)
        yield file, "", sitk.GetArrayFromImage(sitk.ReadImage(HERE / file))


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


FORMATS = [netcdf3, fits, nifti, safetensors, sound, mrc, nrrd, metaimage, gguf, images, sac, ply]


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
