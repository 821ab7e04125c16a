// Reading .npy: magic, version, a Python dictionary literal that describes the array, then the elements.
// Format: numpy/lib/format.py, NEP 1.
#include "cli/data/npy.h"

#include <string.h>

#include <algorithm>

#include "cli/utf8.h"

namespace linnet {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kHeaderBytesMax = 64 << 10;

/// The three entries of the dictionary.
struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// Parses {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } : the keys in any order, each exactly once.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  Result<Header> Parse() {
    Header header;
    bool has_descr = false, has_order = false, has_shape = false;
    std::string key;
    if (!Take('{')) return Fail("'{'");
    while (!Take('}')) {
      if (!String(&key) || !Take(':')) return Fail("a key and ':'");
      if (key == "descr" && !has_descr) {
        if (Peek() == '[') return Unsupported(".npy file holds structures, not plain elements");
        if (!(has_descr = String(&header.descr))) return Fail("a type string");
      } else if (key == "fortran_order" && !has_order) {
        if (!(has_order = Bool(&header.fortran_order))) return Fail("True or False");
      } else if (key == "shape" && !has_shape) {
        if (!(has_shape = Tuple(&header.shape))) return Fail("a tuple of sizes");
      } else {
        return InvalidArgument(".npy header has the unknown or repeated key ", Quote(key));
      }
      if (!Take(',') && Peek() != '}') return Fail("',' or '}'");
    }
    if (Peek() != '\0') return Fail("nothing more");
    if (!has_descr || !has_order || !has_shape) {
      return InvalidArgument(".npy header lacks 'descr', 'fortran_order' or 'shape'");
    }
    return header;
  }

 private:
  Status Fail(const char* expected) const {
    return InvalidArgument(".npy header: expected ", expected, " at ", Quote(rest_.substr(0, 20)));
  }
  char Peek() {
    size_t begin = rest_.find_first_not_of(" \n\t");
    rest_.remove_prefix(std::min(begin, rest_.size()));
    return rest_.empty() ? '\0' : rest_[0];
  }
  bool Take(char c) {
    if (Peek() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool String(std::string* out) {
    char quote = Peek();
    if (quote != '\'' && quote != '"') return false;
    size_t end = rest_.find(quote, 1);
    if (end == rest_.npos) return false;
    *out = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return true;
  }
  bool Bool(bool* out) {
    Peek();
    for (std::string_view word : {"True", "False"}) {
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      *out = word == "True";
      return true;
    }
    return false;
  }
  bool Tuple(std::vector<int64_t>* sizes) {
    if (!Take('(')) return false;
    while (!Take(')')) {
      int64_t value = 0, digits = 0;
      for (char c = Peek(); c >= '0' && c <= '9'; c = rest_.empty() ? '\0' : rest_[0], ++digits) {
        if (!CheckedMul(value, 10, &value) || !CheckedAdd(value, c - '0', &value)) return false;
        rest_.remove_prefix(1);
      }
      if (digits == 0) return false;
      if (!rest_.empty() && rest_[0] == 'L') rest_.remove_prefix(1);  // Python 2 wrote long integers so
      sizes->push_back(value);
      if (!Take(',') && Peek() != ')') return false;
    }
    return true;
  }

  std::string_view rest_;
};

/// An element type as a type string names it.
struct Descr {
  DType dtype = DType::kUndefined;
  int64_t bytes = 0;      ///< of one element in the file
  int64_t unit = 1;       ///< bytes that a byte order swaps
  bool swapped = false;
  char kind = 0;          ///< 'U' and 'S' for text, else unimportant
};

struct TypeRow {
  const char* code;
  DType dtype;
  int unit;
};
constexpr TypeRow kTypes[] = {
    {"b1", DType::kBool, 1},    {"i1", DType::kInt8, 1},     {"u1", DType::kUint8, 1},     {"i2", DType::kInt16, 2},
    {"u2", DType::kUint16, 2},  {"i4", DType::kInt32, 4},    {"u4", DType::kUint32, 4},    {"i8", DType::kInt64, 8},
    {"u8", DType::kUint64, 8},  {"f2", DType::kFloat16, 2},  {"f4", DType::kFloat, 4},     {"f8", DType::kDouble, 8},
    {"c8", DType::kComplex64, 4}, {"c16", DType::kComplex128, 8},
};

Result<Descr> ParseDescr(const std::string& text) {
  auto refuse = [&] { return Unsupported(".npy element type ", Quote(text), " has no ONNX counterpart"); };
  if (text.size() < 2) return refuse();
  bool has_order = strchr("<>=|", text[0]) != nullptr;
  std::string code = text.substr(has_order);
  Descr descr;
  descr.swapped = text[0] == '>';
  for (const TypeRow& row : kTypes) {
    if (code != row.code) continue;
    descr.dtype = row.dtype;
    descr.unit = row.unit;
    descr.bytes = static_cast<int64_t>(DTypeBytes(row.dtype));
    return descr;
  }
  descr.kind = code.empty() ? '\0' : code[0];
  if (descr.kind == 'O') return Unsupported(".npy file holds pickled Python objects, which are never read");
  if ((descr.kind != 'U' && descr.kind != 'S') || code.size() < 2 || code.size() > 10) return refuse();
  int64_t length = 0;
  for (char c : code.substr(1)) {
    if (c < '0' || c > '9') return refuse();
    length = length * 10 + (c - '0');
  }
  descr.dtype = DType::kString;
  descr.unit = descr.kind == 'U' ? 4 : 1;
  descr.bytes = length * descr.unit;
  return descr;
}

/// The text of one fixed-width element, without its trailing NULs.
Status ReadText(const char* element, const Descr& descr, std::string* out) {
  if (descr.kind == 'S') {
    out->assign(element, static_cast<size_t>(descr.bytes));
    out->resize(out->find_last_not_of('\0') + 1);
    return Status();
  }
  size_t used = 0;
  for (int64_t i = 0; i < descr.bytes; i += 4) {
    uint32_t code;
    memcpy(&code, element + i, 4);
    if (descr.swapped) code = __builtin_bswap32(code);
    if (!AppendUtf8(*out, code)) return InvalidArgument(".npy text holds the invalid character code ", code);
    if (code != 0) used = out->size();
  }
  out->resize(used);
  return Status();
}

/// Calls visit(position in the file, position in the tensor) for every element of a column-major array.
template <class Visit>
void VisitFortranOrder(const Shape& shape, Visit visit) {
  if (shape.elements() == 0) return;
  int64_t index[kMaxRank] = {}, strides[kMaxRank] = {};
  for (int axis = 0; axis < shape.rank(); ++axis) strides[axis] = shape.Product(axis + 1, shape.rank());
  int64_t target = 0;
  for (int64_t i = 0; i < shape.elements(); ++i) {
    visit(i, target);
    for (int axis = 0; axis < shape.rank(); ++axis) {
      target += strides[axis];
      if (++index[axis] < shape[axis]) break;
      target -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

/// A file whose head has been read.
struct Opened {
  Descr descr;
  Shape shape;
  bool fortran_order = false;
  std::string_view data;
};

void SwapBytes(char* data, int64_t bytes, int64_t unit) {
  for (int64_t i = 0; i < bytes; i += unit) std::reverse(data + i, data + i + unit);
}

Result<Opened> Open(std::string_view file) {
  if (!file.starts_with(kMagic) || file.size() < 10) return InvalidArgument("not a .npy file: it starts differently");
  int major = file[6];
  if (major < 1 || major > 3) return Unsupported(".npy format version ", major, " is unknown");
  size_t length_bytes = major == 1 ? 2 : 4, length = 0;
  if (file.size() < 8 + length_bytes) return InvalidArgument(".npy file ends within its header");
  for (size_t i = 0; i < length_bytes; ++i) length |= size_t{static_cast<unsigned char>(file[8 + i])} << (8 * i);
  if (length > kHeaderBytesMax) return InvalidArgument(".npy header of ", length, " bytes is too long");
  if (file.size() - 8 - length_bytes < length) return InvalidArgument(".npy file ends within its header");
  std::string_view data = file.substr(8 + length_bytes + length);

  LINNET_ASSIGN(Header header, HeaderParser(file.substr(8 + length_bytes, length)).Parse());
  LINNET_ASSIGN(Descr descr, ParseDescr(header.descr));
  LINNET_ASSIGN(Shape shape, MakeShape(header.shape));
  LINNET_TRY(CheckShape(shape));
  int64_t elements = shape.elements(), bytes = 0;
  if (!CheckedMul(elements, descr.bytes, &bytes) || static_cast<int64_t>(data.size()) != bytes) {
    return InvalidArgument(".npy file of shape ", ToString(shape), " and type ", Quote(header.descr), " needs ",
                           elements, " elements of ", descr.bytes, " bytes but holds ", data.size(), " bytes");
  }
  // Zero-width text is the one kind of element that takes nothing in the file and something in memory.
  if (descr.kind && elements > static_cast<int64_t>(file.size()) + 4096) {
    return LimitReached(".npy file of ", elements, " empty strings");
  }

  return Opened{descr, shape, header.fortran_order, data};
}

/// The tensor of what was opened.
Result<Tensor> Decode(const Opened& opened) {
  const Descr& descr = opened.descr;
  const Shape& shape = opened.shape;
  const std::string_view data = opened.data;
  const int64_t elements = shape.elements(), bytes = elements * descr.bytes;
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(descr.dtype, shape));
  bool transposed = opened.fortran_order && shape.rank() > 1;
  if (descr.kind) {
    std::string* out = tensor.mutable_as<std::string>();
    Status status;
    auto read = [&](int64_t from, int64_t to) {
      if (status.ok()) status = ReadText(data.data() + from * descr.bytes, descr, &out[to]);
    };
    if (transposed) {
      VisitFortranOrder(shape, read);
    } else {
      for (int64_t i = 0; i < elements; ++i) read(i, i);
    }
    if (!status.ok()) return status;
    return tensor;
  }
  char* out = tensor.mutable_as<char>();
  if (transposed) {
    size_t size = static_cast<size_t>(descr.bytes);
    VisitFortranOrder(shape, [&](int64_t from, int64_t to) {
      memcpy(out + to * descr.bytes, data.data() + from * descr.bytes, size);
    });
  } else if (bytes > 0) {
    memcpy(out, data.data(), static_cast<size_t>(bytes));
  }
  if (descr.swapped) SwapBytes(out, bytes, descr.unit);
  if (descr.dtype == DType::kBool) {
    for (int64_t i = 0; i < bytes; ++i) out[i] = out[i] != 0;
  }
  return tensor;
}

}  // namespace

Result<Tensor> ReadNpy(std::string_view file) {
  LINNET_ASSIGN(Opened opened, Open(file));
  return Decode(opened);
}

Result<Shape> ReadNpyShape(std::string_view file) {
  LINNET_ASSIGN(Opened opened, Open(file));
  return opened.shape;
}

Result<Tensor> ReadNpyRow(std::string_view file, int64_t row) {
  LINNET_ASSIGN(Opened opened, Open(file));
  if (opened.shape.rank() == 0 || row < 0 || row >= opened.shape[0]) return InvalidArgument(".npy file of shape ", ToString(opened.shape), " has no row ", row);
  const int64_t rows = opened.shape[0], elements = opened.shape.elements() / rows;
  const size_t size = static_cast<size_t>(opened.descr.bytes);
  opened.shape[0] = 1;
  std::string gathered;
  if (opened.fortran_order && rows > 1) {
    // The rows' elements lie side by side.
    for (int64_t i = 0; i < elements; ++i) gathered += opened.data.substr(static_cast<size_t>(row + i * rows) * size, size);
    opened.data = gathered;
  } else {
    opened.data = opened.data.substr(static_cast<size_t>(row * elements) * size, static_cast<size_t>(elements) * size);
  }
  return Decode(opened);
}

Result<Tensor> LoadNpy(const std::string& path) {
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, {FileAccess::kRead}));
  Result<Tensor> tensor = ReadNpy(file->bytes());
  if (!tensor.ok()) return tensor.TakeStatus().At(Quote(path));
  return tensor;
}

}  // namespace linnet
