#include "engine/artifact/pickle_globals.h"

#include <algorithm>
#include <span>
#include <string>

namespace driftseal::artifact {
namespace {

using Kind = GlobalKind;

struct Allowed {
  std::string_view module, name;
  Kind kind;
  std::optional<DType> dtype = std::nullopt;
};

constexpr Allowed kAllowed[] = {
    {"collections", "OrderedDict", Kind::kOrderedDict},
    {"torch._utils", "_rebuild_tensor_v2", Kind::kRebuildTensorV2},
    {"torch._utils", "_rebuild_tensor_v3", Kind::kRebuildTensorV3},
    {"torch._utils", "_rebuild_parameter", Kind::kRebuildParameter},
    {"torch._utils", "_rebuild_parameter_with_state", Kind::kRebuildParameterWithState},
    {"torch", "Size", Kind::kSize},
    {"torch", "device", Kind::kInert},
    {"__builtin__", "complex", Kind::kInert},
    {"builtins", "complex", Kind::kInert},
    {"torch.jit._pickle", "build_intlist", Kind::kTypedList},
    {"torch.jit._pickle", "build_doublelist", Kind::kTypedList},
    {"torch.jit._pickle", "build_boollist", Kind::kTypedList},
    {"torch.jit._pickle", "build_tensorlist", Kind::kTypedList},
    {"torch.jit._pickle", "restore_type_tag", Kind::kRestoreTypeTag},
    {"torch", "FloatStorage", Kind::kStorageType, DType::kF32},
    {"torch", "DoubleStorage", Kind::kStorageType, DType::kF64},
    {"torch", "HalfStorage", Kind::kStorageType, DType::kF16},
    {"torch", "BFloat16Storage", Kind::kStorageType, DType::kBF16},
    {"torch", "LongStorage", Kind::kStorageType, DType::kI64},
    {"torch", "IntStorage", Kind::kStorageType, DType::kI32},
    {"torch", "ShortStorage", Kind::kStorageType, DType::kI16},
    {"torch", "CharStorage", Kind::kStorageType, DType::kI8},
    {"torch", "ByteStorage", Kind::kStorageType, DType::kU8},
    {"torch", "BoolStorage", Kind::kStorageType, DType::kBool},
    {"torch", "ComplexFloatStorage", Kind::kStorageType, DType::kC64},
    {"torch.storage", "UntypedStorage", Kind::kStorageType},
    {"torch", "UntypedStorage", Kind::kStorageType},
    {"torch", "float32", Kind::kDType, DType::kF32},
    {"torch", "float64", Kind::kDType, DType::kF64},
    {"torch", "float16", Kind::kDType, DType::kF16},
    {"torch", "bfloat16", Kind::kDType, DType::kBF16},
    {"torch", "float8_e4m3fn", Kind::kDType, DType::kF8E4M3},
    {"torch", "float8_e5m2", Kind::kDType, DType::kF8E5M2},
    {"torch", "int64", Kind::kDType, DType::kI64},
    {"torch", "int32", Kind::kDType, DType::kI32},
    {"torch", "int16", Kind::kDType, DType::kI16},
    {"torch", "int8", Kind::kDType, DType::kI8},
    {"torch", "uint64", Kind::kDType, DType::kU64},
    {"torch", "uint32", Kind::kDType, DType::kU32},
    {"torch", "uint16", Kind::kDType, DType::kU16},
    {"torch", "uint8", Kind::kDType, DType::kU8},
    {"torch", "bool", Kind::kDType, DType::kBool},
    {"torch", "complex64", Kind::kDType, DType::kC64},
};

// Tensors of kinds that exist and are harmless, but are not understood here.
constexpr Allowed kUnsupported[] = {
    {"torch", "QUInt8Storage", Kind::kUnsupportedTensor},
    {"torch", "QInt8Storage", Kind::kUnsupportedTensor},
    {"torch", "QInt32Storage", Kind::kUnsupportedTensor},
    {"torch", "QUInt4x2Storage", Kind::kUnsupportedTensor},
    {"torch", "QUInt2x4Storage", Kind::kUnsupportedTensor},
    {"torch", "ComplexDoubleStorage", Kind::kUnsupportedTensor},
    {"torch", "complex128", Kind::kUnsupportedTensor},
    {"torch", "complex32", Kind::kUnsupportedTensor},
    {"torch", "float8_e4m3fnuz", Kind::kUnsupportedTensor},
    {"torch", "float8_e5m2fnuz", Kind::kUnsupportedTensor},
    {"torch", "float8_e8m0fnu", Kind::kUnsupportedTensor},
    {"torch", "float4_e2m1fn_x2", Kind::kUnsupportedTensor},
    {"torch.serialization", "_get_layout", Kind::kUnsupportedTensor},
};

// Packages whose very import, or whose functions called by a pickle, run code, read or write files, or reach the
// network. The list serves the message: a package that is missing here is refused as unknown.
constexpr std::string_view kDangerousPackages[] = {"__builtin__",
                                                   "__builtins__",
                                                   "_aix_support",
                                                   "_osx_support",
                                                   "_pickle",
                                                   "_posixsubprocess",
                                                   "_pyrepl",
                                                   "_thread",
                                                   "_winapi",
                                                   "aiohttp",
                                                   "antigravity",
                                                   "ast",
                                                   "asyncio",
                                                   "asyncore",
                                                   "atexit",
                                                   "bdb",
                                                   "builtins",
                                                   "cProfile",
                                                   "cPickle",
                                                   "cffi",
                                                   "cloudpickle",
                                                   "cmd",
                                                   "code",
                                                   "codecs",
                                                   "codeop",
                                                   "commands",
                                                   "concurrent",
                                                   "ctypes",
                                                   "dbm",
                                                   "dill",
                                                   "dis",
                                                   "distutils",
                                                   "doctest",
                                                   "ensurepip",
                                                   "fcntl",
                                                   "fileinput",
                                                   "ftplib",
                                                   "functools",
                                                   "gc",
                                                   "getpass",
                                                   "glob",
                                                   "http",
                                                   "httplib",
                                                   "httpx",
                                                   "idlelib",
                                                   "imaplib",
                                                   "imp",
                                                   "importlib",
                                                   "inspect",
                                                   "io",
                                                   "itertools",
                                                   "joblib",
                                                   "jsonpickle",
                                                   "lib2to3",
                                                   "linecache",
                                                   "logging",
                                                   "mailcap",
                                                   "marshal",
                                                   "mmap",
                                                   "multiprocessing",
                                                   "nt",
                                                   "ntpath",
                                                   "numba",
                                                   "operator",
                                                   "os",
                                                   "paramiko",
                                                   "pathlib",
                                                   "pdb",
                                                   "pexpect",
                                                   "pickle",
                                                   "pickletools",
                                                   "pip",
                                                   "pkg_resources",
                                                   "pkgutil",
                                                   "platform",
                                                   "popen2",
                                                   "posix",
                                                   "posixpath",
                                                   "poplib",
                                                   "profile",
                                                   "pstats",
                                                   "pty",
                                                   "py_compile",
                                                   "pydoc",
                                                   "requests",
                                                   "resource",
                                                   "rlcompleter",
                                                   "runpy",
                                                   "sched",
                                                   "select",
                                                   "setuptools",
                                                   "shelve",
                                                   "shutil",
                                                   "signal",
                                                   "site",
                                                   "smtplib",
                                                   "smtpd",
                                                   "socket",
                                                   "socketserver",
                                                   "sqlite3",
                                                   "ssl",
                                                   "subprocess",
                                                   "sys",
                                                   "sysconfig",
                                                   "tarfile",
                                                   "telnetlib",
                                                   "tempfile",
                                                   "test",
                                                   "this",
                                                   "threading",
                                                   "timeit",
                                                   "trace",
                                                   "traceback",
                                                   "types",
                                                   "unittest",
                                                   "urllib",
                                                   "urllib2",
                                                   "uuid",
                                                   "venv",
                                                   "webbrowser",
                                                   "winreg",
                                                   "wsgiref",
                                                   "xmlrpc",
                                                   "yaml",
                                                   "zipapp",
                                                   "zipfile",
                                                   "zipimport"};

// Plain types of the built-in package, whose other names run code (eval) or reach what does (getattr).
constexpr std::string_view kBuiltinTypes[] = {"bool",      "bytearray", "bytes", "complex", "dict",   "float",
                                              "frozenset", "int",       "list",  "long",    "object", "range",
                                              "set",       "slice",     "str",   "tuple",   "unicode"};

// Parts of packages that are otherwise merely unknown; a part holds for all below it.
constexpr std::string_view kDangerousModules[] = {"numpy.distutils",
                                                  "numpy.f2py",
                                                  "numpy.testing",
                                                  "numpy.load",
                                                  "pandas.eval",
                                                  "pandas.read_pickle",
                                                  "pandas.io",
                                                  "torch._dynamo",
                                                  "torch._inductor",
                                                  "torch.classes",
                                                  "torch.distributed",
                                                  "torch.fx",
                                                  "torch.hub",
                                                  "torch.jit",
                                                  "torch.library",
                                                  "torch.load",
                                                  "torch.multiprocessing",
                                                  "torch.onnx",
                                                  "torch.ops",
                                                  "torch.package",
                                                  "torch.save",
                                                  "torch.serialization",
                                                  "torch.storage._load_from_bytes",
                                                  "torch.testing",
                                                  "torch.utils"};

const Allowed* Find(std::span<const Allowed> table, std::string_view module, std::string_view name) {
  for (const Allowed& entry : table) {
    if (entry.name == name && entry.module == module) return &entry;
  }
  return nullptr;
}

bool IsDangerous(std::string_view module, std::string_view name) {
  const std::string_view package = module.substr(0, module.find('.'));
  const bool builtin = module == "builtins" || module == "__builtin__";
  if (builtin && std::find(std::begin(kBuiltinTypes), std::end(kBuiltinTypes), name) != std::end(kBuiltinTypes)) {
    return false;
  }
  if (std::find(std::begin(kDangerousPackages), std::end(kDangerousPackages), package) !=
      std::end(kDangerousPackages)) {
    return true;
  }
  const std::string full = std::string(module) + "." + std::string(name);
  return std::any_of(std::begin(kDangerousModules), std::end(kDangerousModules), [&](std::string_view part) {
    return full.starts_with(part) && (full.size() == part.size() || full[part.size()] == '.');
  });
}

}  // namespace

GlobalMeaning ClassifyGlobal(std::string_view module, std::string_view name) {
  if (const Allowed* entry = Find(kAllowed, module, name)) return {entry->kind, entry->dtype};
  // Classes of a TorchScript archive: their code is in the archive and Python never sees it.
  if (module == "__torch__" || module.starts_with("__torch__.")) return {Kind::kTorchScriptClass, std::nullopt};
  if (Find(kUnsupported, module, name) != nullptr) return {Kind::kUnsupportedTensor, std::nullopt};
  if (module == "torch._utils" && name.starts_with("_rebuild_")) return {Kind::kUnsupportedTensor, std::nullopt};
  return {IsDangerous(module, name) ? Kind::kDangerous : Kind::kUnknown, std::nullopt};
}

}  // namespace driftseal::artifact
