#!/usr/bin/env python3
"""Writes the model files in samples/ and samples/expected.json, what those who wrote them read back.

Needs torch, safetensors, numpy and xgboost (made with torch 2.13, safetensors 0.8, xgboost 3.2) and, for the files of
XGBoost 1.7, its C library (Debian's libxgboost0). Run again only to add a case: the files are part of the tests.
"""
import ctypes
import io
import json
import pathlib
import zipfile

import numpy as np
import torch
import xgboost
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent / "samples"
EXPECTED = {"tensors": {}, "boosters": {}}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 2, 3)
        self.bn = torch.nn.BatchNorm2d(2)
        self.head = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3, bias=False))

    def forward(self, x):
        return self.head(torch.relu(self.bn(self.conv1(x))).flatten(1))


def describe(tensor):
    names = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
             torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32",
             torch.int16: "I16", torch.int8: "I8", torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16",
             torch.uint8: "U8", torch.bool: "BOOL", torch.complex64: "C64"}
    values = tensor.detach().abs() if tensor.is_complex() else tensor.detach()
    # JSON has no NaN and no infinity: floats go as their bits.
    bits = values.to(torch.float32).contiguous().view(torch.int32).reshape(-1).tolist()
    return {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "bits": bits}


def expect(name, tensors):
    EXPECTED["tensors"][name] = [dict(name=key, **describe(value)) for key, value in tensors.items()]


def every_dtype():
    every_byte = torch.arange(256, dtype=torch.uint8)
    halves = torch.tensor([0, 1, 0x3FF, 0x400, 0x3C00, 0x7BFF, 0x7C00, 0x8000, 0x8001, 0xC000, 0xFC00], dtype=torch.int32)
    tensors = {
        "f64": torch.tensor([0.1, -1e300, 1e-300], dtype=torch.float64),
        "f32": torch.tensor([[1.5, -0.0], [float("inf"), 1e-40]]),
        "f16": halves.to(torch.int16).view(torch.float16),
        "bf16": torch.tensor([1.0, -3.140625, 1e38, 1e-39]).to(torch.bfloat16),
        "f8_e4m3": every_byte.clone().view(torch.float8_e4m3fn),
        "f8_e5m2": every_byte.clone().view(torch.float8_e5m2),
        "i64": torch.tensor([2**53 + 1, -(2**63), 2**63 - 1]),
        "i32": torch.tensor([-(2**31), 2**31 - 1, 7], dtype=torch.int32),
        "i16": torch.tensor([-32768, 32767], dtype=torch.int16),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "u64": torch.tensor([0, 2**63 - 1], dtype=torch.uint64),
        "u32": torch.tensor([0, 2**32 - 1], dtype=torch.uint32),
        "u16": torch.tensor([0, 65535], dtype=torch.uint16),
        "u8": every_byte[250:].clone(),
        "bool": torch.tensor([True, False, True]),
        "c64": torch.tensor([3 + 4j, -1j, 0j], dtype=torch.complex64),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    }
    torch.save(tensors, HERE / "dtypes.pt")
    expect("dtypes.pt", tensors)
    save_file({k: v for k, v in tensors.items()}, HERE / "dtypes.safetensors", metadata={"format": "pt", "ünïcode": "\"\\\n"})
    expect("dtypes.safetensors", tensors)


def save_script(module, name):
    """Saves twice: the first archive's *.debug_pkl hold paths of the machine it was made on."""
    first, second = io.BytesIO(), io.BytesIO()
    torch.jit.save(module, first)
    with zipfile.ZipFile(first) as old, zipfile.ZipFile(second, "w") as new:
        for member in old.namelist():
            if not member.endswith(".debug_pkl"):
                new.writestr(member, old.read(member))
    second.seek(0)
    torch.jit.load(second).save(str(HERE / name))


def networks():
    net = Net().eval()
    state = net.state_dict()
    torch.save(state, HERE / "net.state_dict.pt")
    expect("net.state_dict.pt", state)
    torch.save(state, HERE / "net.protocol4.pt", pickle_protocol=4)
    expect("net.protocol4.pt", state)
    save_script(torch.jit.script(net), "net.torchscript.pt")
    expect("net.torchscript.pt", state)
    save_script(torch.jit.trace(net, torch.zeros(1, 1, 4, 4)), "net.traced.pt")
    expect("net.traced.pt", state)
    save_file(state, HERE / "net.safetensors")
    expect("net.safetensors", state)
    torch.save(net, HERE / "net.module.pt")  # Needs the class Net: refused.
    torch.serialization.set_crc32_options(False)
    torch.save(state, HERE / "net.nocrc.pt")
    torch.serialization.set_crc32_options(True)
    expect("net.nocrc.pt", state)


def views():
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    tensors = {
        "base": base,
        "transposed": base.permute(2, 0, 1),
        "sliced": base[1:, ::2, 1:4],
        "column": base[:, 3, 2],
        "expanded": base[0, 0, :3].reshape(3, 1).expand(3, 2),
        "far": torch.arange(4096, dtype=torch.int16)[5::1000],
        "same": base,
        "row": base[2, 3, 4],
    }
    torch.save(tensors, HERE / "views.pt")
    expect("views.pt", tensors)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "list": [torch.ones(1)],
                "device": torch.device("cpu"), "size": torch.Size([1]), "dtype": torch.float16, "complex": 1 + 2j,
                "loss": 0.25, "name": "ü", "big": 2**40}, HERE / "checkpoint.pt")
    momenta = {f"optimizer.state.{i}.momentum_buffer": s["momentum_buffer"] for i, s in optimizer.state_dict()["state"].items()}
    expect("checkpoint.pt", {**{f"model.{k}": v for k, v in model.state_dict().items()}, **momenta, "list.0": torch.ones(1)})
    torch.save(torch.eye(2), HERE / "tensor.pt")
    expect("tensor.pt", {"tensor": torch.eye(2)})
    torch.save({"q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, HERE / "quantized.pt")
    torch.save({"s": torch.eye(2).to_sparse()}, HERE / "sparse.pt")


def expect_booster(name, rows, margins, **facts):
    EXPECTED["boosters"][name] = {"rows": rows.tolist(), "margins": np.asarray(margins).reshape(len(rows), -1).tolist(), **facts}


def boosters():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 5)).astype(np.float32)
    binary = (x[:, 0] + x[:, 1] > 0).astype(int)
    x[::7, 2] = np.nan
    rows = rng.normal(size=(6, 5)).astype(np.float32)

    def train(name, parameters, labels, rounds, **facts):
        parameters = {"nthread": 1, "seed": 1, **parameters}
        model = xgboost.train(parameters, xgboost.DMatrix(x, labels), rounds)
        margins = model.predict(xgboost.DMatrix(rows), output_margin=True)
        for ending in ("json", "ubj"):
            model.save_model(HERE / f"{name}.{ending}")
            expect_booster(f"{name}.{ending}", rows, margins, features=5, **facts)

    train("binary", {"objective": "binary:logistic", "max_depth": 3}, binary, 4, objective="binary:logistic", classes=0)
    train("multi", {"objective": "multi:softprob", "num_class": 3, "max_depth": 2}, rng.integers(0, 3, 200), 2,
          objective="multi:softprob", classes=3)
    train("dart", {"booster": "dart", "rate_drop": 0.5, "max_depth": 2}, x[:, 0], 4, objective="reg:squarederror", classes=0)
    both = np.c_[x[:, 0], x[:, 1]]
    linear = xgboost.train({"booster": "gblinear", "nthread": 1}, xgboost.DMatrix(x[:, :2], x[:, 0]), 2)
    linear.save_model(HERE / "linear.ubj")
    outputs = xgboost.train({"multi_strategy": "multi_output_tree", "tree_method": "hist", "max_depth": 2, "nthread": 1},
                            xgboost.DMatrix(x, both), 1)
    outputs.save_model(HERE / "multi_output.ubj")
    kinds = np.floor(rng.uniform(0, 4, (200, 1)))
    categories = xgboost.train({"max_depth": 2, "tree_method": "hist", "max_cat_to_onehot": 1, "nthread": 1},
                               xgboost.DMatrix(kinds, binary, feature_types=["c"], enable_categorical=True), 1)
    categories.save_model(HERE / "categories.json")
    boosters_17(x, binary, rows)


def boosters_17(x, labels, rows):
    """The same with XGBoost 1.7 through its C interface, pruned, so that the trees hold deleted nodes."""
    library = ctypes.CDLL("libxgboost.so.0")

    def call(function, *arguments):
        if getattr(library, function)(*arguments) != 0:
            library.XGBGetLastError.restype = ctypes.c_char_p
            raise RuntimeError(library.XGBGetLastError().decode())

    def matrix(values):
        values = np.ascontiguousarray(values, dtype=np.float32)
        handle = ctypes.c_void_p()
        call("XGDMatrixCreateFromMat", values.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(values.shape[0]),
             ctypes.c_uint64(values.shape[1]), ctypes.c_float(np.nan), ctypes.byref(handle))
        return handle

    data, booster = matrix(x), ctypes.c_void_p()
    target = np.ascontiguousarray(labels, dtype=np.float32)
    call("XGDMatrixSetFloatInfo", data, b"label", target.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(len(target)))
    call("XGBoosterCreate", ctypes.byref(data), ctypes.c_uint64(1), ctypes.byref(booster))
    for key, value in {"objective": "binary:logistic", "max_depth": "4", "gamma": "2", "tree_method": "exact", "nthread": "1"}.items():
        call("XGBoosterSetParam", booster, key.encode(), value.encode())
    for round_ in range(3):
        call("XGBoosterUpdateOneIter", booster, round_, data)
    length, result = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()
    call("XGBoosterPredict", booster, matrix(rows), 1, 0, 0, ctypes.byref(length), ctypes.byref(result))
    margins = np.array([result[i] for i in range(length.value)])
    for ending in ("json", "ubj"):
        call("XGBoosterSaveModel", booster, str(HERE / f"binary17.{ending}").encode())
        expect_booster(f"binary17.{ending}", rows, margins, features=5, objective="binary:logistic", classes=0)
    call("XGBoosterSaveModel", booster, str(HERE / "binary17.deprecated").encode())


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    torch.manual_seed(0)
    every_dtype()
    networks()
    views()
    boosters()
    (HERE / "expected.json").write_text(json.dumps(EXPECTED, separators=(",", ":")) + "\n")
