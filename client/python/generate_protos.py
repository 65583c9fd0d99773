#!/usr/bin/env python3
"""Makes the Python side of the contract: driftseal/_proto/{contract.binpb, NAME_pb2.py, NAME_pb2.pyi}.

setup.py does it for a wheel; tests and demo for the source tree. The contract travels as a descriptor set, and
driftseal._proto makes its classes from that: code that protoc writes runs only with the protobuf of its own and the
next major version, and registers its files under global names. Left of it are the stubs that type checkers read.

Usage: generate_protos.py [OUTPUT]
"""
from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CONTRACT = "contract.binpb"
MODULE = '''"""Made by generate_protos.py from {file}."""
from driftseal._proto import publish

publish("{file}", globals())
'''


def proto_root() -> pathlib.Path:
    """The repository's folder of protos, or the copy of it in a source distribution."""
    for root in (HERE / "proto", HERE.parents[1] / "proto"):
        if (root / "driftseal" / "v1").is_dir():
            return root
    raise SystemExit(f"{HERE}: the protos are neither in proto/ nor in ../../proto/")


def run_protoc(arguments: list[str]) -> None:
    try:
        import grpc_tools.protoc
    except ImportError:
        if shutil.which("protoc") is None:
            raise SystemExit("neither grpcio-tools nor protoc is installed") from None
        subprocess.run(["protoc", *arguments], check=True)
        return
    bundled = pathlib.Path(grpc_tools.protoc.__file__).parent / "_proto"
    # In a process of its own: protoc's descriptors would stay in this one.
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments, f"-I{bundled}"], check=True)


def generate(output: pathlib.Path) -> list[pathlib.Path]:
    """Writes the files that differ from those that are there. Returns all of them."""
    root = proto_root()
    files = sorted(path.relative_to(root).as_posix() for path in (root / "driftseal" / "v1").glob("*.proto"))
    made: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        run_protoc([f"-I{root}", "--include_imports", f"--pyi_out={folder}",
                    f"--descriptor_set_out={folder}/{CONTRACT}", *files])
        made[CONTRACT] = (pathlib.Path(folder) / CONTRACT).read_bytes()
        for file in files:
            stem = pathlib.PurePath(file).stem
            stub = (pathlib.Path(folder) / file).with_name(f"{stem}_pb2.pyi").read_text(encoding="utf-8")
            made[f"{stem}_pb2.pyi"] = stub.replace("from driftseal.v1 import", "from driftseal._proto import").encode()
            made[f"{stem}_pb2.py"] = MODULE.format(file=file).encode()
    output.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        path = output / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    return [output / name for name in made]


if __name__ == "__main__":
    generate(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "driftseal" / "_proto")
