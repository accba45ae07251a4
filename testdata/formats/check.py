"""Compares files that were packed under a bound with the originals, as the formats' own libraries read them.

    pip install -r check-requirements.txt
    errbar pack --bound rel=1e-3 ORIGINALS a.eba && errbar unpack a.eba UNPACKED
    python check.py ORIGINALS UNPACKED 1e-3

Every file that is not what it was has to open in its library, with all values of floating-point arrays within
that share of their range, and everything else, attributes and headers included, as it was. Ends with status 1
where one is not so. Formats of which no library is used here are listed.
"""

import sys
import warnings
from pathlib import Path

import numpy as np

# Values beyond this may stand for missing ones, which keep every bit and count for no range.
MISSING = 1e15


def hdf5(path):
    import h5py

    with h5py.File(path) as file:
        found = [("/", file)]
        file.visititems(lambda name, item: found.append((name, item)))
        for name, item in found:
            for key, value in item.attrs.items():
                # References are places in one file.
                if not isinstance(value, h5py.Empty) and not np.asarray(value).dtype.hasobject:
                    yield f"{name}@{key}", np.asarray(value)
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                yield name, item[()]


def netcdf(path):
    import netCDF4
    import xarray

    def group(data):
        for key in data.ncattrs():
            yield f"{data.path}@{key}", np.asarray(data.getncattr(key))
        for name, variable in data.variables.items():
            variable.set_auto_maskandscale(False)
            yield f"{data.path}/{name}", np.asarray(variable[...])
            for key in variable.ncattrs():
                yield f"{data.path}/{name}@{key}", np.asarray(variable.getncattr(key))
        for inner in data.groups.values():
            yield from group(inner)

    with netCDF4.Dataset(path) as data:
        yield from group(data)
    try:
        xarray.open_dataset(path, decode_times=False).close()
    except Exception as error:
        # What it cannot open at all has nothing to do with values.
        yield "xarray", np.asarray(type(error).__name__)


def fits(path):
    from astropy.io import fits

    with fits.open(path, do_not_scale_image_data=True) as file:
        for number, hdu in enumerate(file):
            yield f"{number}@header", np.asarray(hdu.header.tostring())
            if hdu.data is None:
                continue
            names = getattr(hdu.data, "names", None)
            if names is None:
                yield str(number), np.asarray(hdu.data)
            for name in names or []:
                yield f"{number}/{name}", np.asarray(hdu.data.field(name))


def nifti(path):
    import nibabel

    image = nibabel.load(path)
    yield "header", np.frombuffer(image.header.binaryblock, "u1")
    yield "data", np.asarray(image.dataobj.get_unscaled())


def tiff(path):
    import tifffile

    with tifffile.TiffFile(path) as file:
        for number, page in enumerate(file.pages):
            yield str(number), page.asarray()


def dicom(path):
    import pydicom

    data = pydicom.dcmread(path)
    yield "header", np.asarray(str(data))
    yield "pixels", data.pixel_array


def mrc(path):
    import mrcfile

    with mrcfile.open(path, permissive=True) as file:
        yield "header", np.frombuffer(file.header.tobytes(), "u1")
        yield "data", np.asarray(file.data)


def matlab(path):
    import scipy.io

    for name, value in scipy.io.loadmat(path).items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            yield name, value


def numpy(path):
    found = np.load(path)
    # Several of them in one file.
    yield from found.items() if isinstance(found, np.lib.npyio.NpzFile) else [("", found)]


def envi(path):
    from spectral.io import envi as rasters

    yield "data", np.asarray(rasters.open(str(path.with_suffix(".hdr"))).open_memmap(interleave="source"))


def pair(path):
    yield from nifti(path.with_suffix(".hdr"))


def metaimage(path):
    import SimpleITK as sitk

    yield "data", sitk.GetArrayFromImage(sitk.ReadImage(path.with_suffix(".mhd")))


def nrrd(path):
    import nrrd as nearly_raw

    yield "data", nearly_raw.read(str(path.with_suffix(".nhdr")))[0]


def zarr(path):
    import zarr as chunked

    root = next(folder for folder in path.parents if (folder / ".zarray").exists() or (folder / "zarr.json").exists())
    yield "data", np.asarray(chunked.open_array(root, mode="r")[...])


def vtk_xml(path):
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    file = vtk.vtkXMLGenericDataObjectReader()
    file.SetFileName(str(path))
    file.Update()
    data = file.GetOutput()
    for kind, attributes in [("points", data.GetPointData()), ("cells", data.GetCellData())]:
        for i in range(attributes.GetNumberOfArrays()):
            yield f"{kind}/{attributes.GetArrayName(i)}", vtk_to_numpy(attributes.GetArray(i))
    if isinstance(data, vtk.vtkPointSet):
        yield "points", vtk_to_numpy(data.GetPoints().GetData())


def beside(path):
    """What reads a file whose header is another one."""
    header = path.with_suffix(".hdr")
    if header.exists() and header != path:
        return [envi if header.read_bytes().startswith(b"ENVI") else pair]
    for suffix, read in [(".mhd", metaimage), (".nhdr", nrrd)]:
        if path.with_suffix(suffix).exists():
            return [read]
    return [zarr] if any(folder.suffix == ".zarr" for folder in path.parents) else []


def reader(path):
    """What reads a file, by the header beside it or by its first bytes."""
    if found := beside(path):
        return found
    with open(path, "rb") as file:
        head = file.read(4096)
    if b"\x89HDF\r\n\x1a\n" in (head[at : at + 8] for at in (0, 512, 1024, 2048)):
        return [hdf5, netcdf] if path.suffix in (".nc", ".nc4", ".cdf") else [hdf5]
    starts = {b"CDF": netcdf, b"SIMPLE  =": fits, b"\x93NUMPY": numpy, b"PK\3\4": numpy, b"MATLAB 5": matlab}
    starts |= {b"II*\0": tiff, b"MM\0*": tiff, b"II+\0": tiff, b"MM\0+": tiff}
    found = [read for start, read in starts.items() if head.startswith(start)]
    if head[128:132] == b"DICM":
        found.append(dicom)
    if head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0":
        found.append(nifti)
    if b"<VTKFile" in head[:512]:
        found.append(vtk_xml)
    suffixes = {".mrc": mrc, ".map": mrc, ".mat": matlab}
    if not found and path.suffix in suffixes:
        found.append(suffixes[path.suffix])
    return found


def fault(old, new, rel):
    """What is wrong with an array; nothing if it is within `rel` of its range, or equal where it holds no floats."""
    if old is None or new is None:
        return None if old is new else "is missing"
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return f"is {new.dtype} {new.shape}, not {old.dtype} {old.shape}"
    if old.dtype.kind not in "fc":
        return None if old.tobytes() == new.tobytes() or np.array_equal(old, new) else "differs"
    if old.dtype.kind == "c":
        old, new = (np.stack([values.real, values.imag]) for values in (old, new))
    old, new = old.astype("f8"), new.astype("f8")
    ordinary = np.isfinite(old) & (np.abs(old) < MISSING)
    if not np.array_equal(old[~ordinary], new[~ordinary], equal_nan=True):
        return "has other missing values"
    if not ordinary.any():
        return None
    limit = rel * (old[ordinary].max() - old[ordinary].min())
    worst = np.abs(old[ordinary] - new[ordinary]).max()
    return None if worst <= limit else f"differs by {worst:g}, not at most {limit:g}"


def check(original, unpacked, rel):
    """The faults of one file, and how many of its arrays differ."""
    faults, changed = [], 0
    for read in reader(original):
        try:
            old, new = (dict(read(path)) for path in (original, unpacked))
        except Exception as error:
            faults.append(f"{read.__name__}: {error}")
            continue
        if old.keys() != new.keys():
            faults.append(f"{read.__name__}: other names")
        for name in old.keys() & new.keys():
            wrong = fault(old[name], new[name], rel)
            faults += [f"{read.__name__}: {name} {wrong}"] if wrong else []
            changed += old[name] is not None and old[name].tobytes() != new[name].tobytes()
    return faults, changed


def main():
    originals, unpacked, rel = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    warnings.simplefilter("ignore")
    files = sorted(path for path in originals.rglob("*") if path.is_file())
    n_other = n_arrays = n_faulty = 0
    unread = []
    for path in files:
        name = path.relative_to(originals)
        if path.read_bytes() == (unpacked / name).read_bytes():
            continue
        if not reader(path):
            unread.append(str(name))
            continue
        faults, changed = check(path, unpacked / name, rel)
        n_other, n_arrays, n_faulty = n_other + 1, n_arrays + changed, n_faulty + bool(faults)
        for line in faults:
            print(f"{name}: {line}")
    print(f"{len(files)} files, {n_other} of those read here not as they were, with {n_arrays} arrays that differ; {n_faulty} faulty")
    print("changed, but of formats that are not read here:", *unread or ["none"])
    return 1 if n_faulty or not n_other else 0


if __name__ == "__main__":
    sys.exit(main())
