// Reading protobuf messages field by field: protozero's reader with wire types, lengths and depth checked.
//
// Everything wrong with the encoding is thrown, as protozero does; what the decoded fields mean is judged by the readers
// above, with Status. The entry points catch (see CatchWireErrors) and add the offset of the field being read.
#pragma once

#include <exception>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace linnet::onnx {

/// Where reading is: for offsets in messages, and the depth of open messages.
struct Cursor {
  const char* begin = nullptr;
  const char* at = nullptr;  ///< start of the field being read
  int64_t depth = 0;
  int64_t depth_max = 100;

  int64_t offset() const { return at - begin; }
};

struct WireError : std::exception {
  explicit WireError(Status why) : status(std::move(why)) {}
  const char* what() const noexcept override { return "damaged protobuf"; }
  Status status;
};

/// One message: `while (message.Next()) switch (message.field()) { case 1: x = message.Int(); ... default: message.Skip(); }`.
/// Every field must be taken by exactly one getter or Skip. Views point into the file.
class Message {
 public:
  Message(std::string_view bytes, Cursor& cursor) : reader_(bytes.data(), bytes.size()), cursor_(cursor) {
    if (cursor.depth >= cursor.depth_max) {
      throw WireError(LimitReached("messages are nested deeper than the limit of ", cursor.depth_max));
    }
    ++cursor.depth;
  }
  ~Message() { --cursor_.depth; }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  bool Next() {
    if (reader_.length() > 0) cursor_.at = reader_.data().data();
    return reader_.next();
  }
  uint32_t field() const { return reader_.tag(); }

  int64_t Int() {
    Expect(protozero::pbf_wire_type::varint);
    return reader_.get_int64();
  }
  float Float() {
    Expect(protozero::pbf_wire_type::fixed32);
    return reader_.get_float();
  }
  /// Strings, bytes and nested messages.
  std::string_view Bytes() {
    Expect(protozero::pbf_wire_type::length_delimited);
    // protozero keeps 32 bits of a length, so the whole of it is compared here first.
    const protozero::data_view rest = reader_.data();
    const char* position = rest.data();
    uint64_t length = protozero::decode_varint(&position, rest.data() + rest.size());
    uint64_t remaining = static_cast<uint64_t>(rest.data() + rest.size() - position);
    if (length > remaining || length > UINT32_MAX) {
      throw WireError(InvalidModel("field ", field(), " declares ", length, " bytes where ", remaining, " remain"));
    }
    const protozero::data_view view = reader_.get_view();
    return {view.data(), view.size()};
  }
  void Skip() {
    if (reader_.has_wire_type(protozero::pbf_wire_type::length_delimited)) {
      Bytes();
    } else {
      reader_.skip();
    }
  }

  /// Each value of a repeated integer field, packed or not.
  template <class F>
  void EachInt(F&& each) {
    if (reader_.has_wire_type(protozero::pbf_wire_type::varint)) return each(reader_.get_int64());
    std::string_view packed = Bytes();
    const char* position = packed.data();
    const char* end = position + packed.size();
    while (position != end) each(static_cast<int64_t>(protozero::decode_varint(&position, end)));
  }
  /// The bytes of a repeated fixed-width field of `width` bytes (4 or 8) a value: one value, or a packed run.
  std::string_view FixedRun(size_t width) {
    if (reader_.has_wire_type(protozero::pbf_wire_type::length_delimited)) {
      std::string_view packed = Bytes();
      if (packed.size() % width != 0) {
        throw WireError(InvalidModel("field ", field(), " has ", packed.size(), " bytes of ", width, "-byte values"));
      }
      return packed;
    }
    Expect(width == 4 ? protozero::pbf_wire_type::fixed32 : protozero::pbf_wire_type::fixed64);
    const char* start = reader_.data().data();
    reader_.skip();
    return {start, width};
  }

 private:
  void Expect(protozero::pbf_wire_type type) const {
    if (!reader_.has_wire_type(type)) {
      throw WireError(InvalidModel("field ", field(), " has wire type ", static_cast<int>(reader_.wire_type()),
                                   " where ", static_cast<int>(type), " is expected"));
    }
  }

  protozero::pbf_reader reader_;
  Cursor& cursor_;
};

/// Runs `body` (which returns a Status or Result) and turns what it throws into a failure at the cursor's offset.
template <class F>
auto CatchWireErrors(const Cursor& cursor, F&& body) -> decltype(body()) {
  auto at = [&] { return Cat("at offset ", cursor.offset()); };
  try {
    return body();
  } catch (WireError& error) {
    return std::move(error.status).At(at());
  } catch (const protozero::end_of_buffer_exception&) {
    return InvalidModel("the bytes end inside a field").At(at());
  } catch (const protozero::exception& error) {
    return InvalidModel("damaged protobuf (", error.what(), ")").At(at());
  } catch (const std::bad_alloc&) {
    return OutOfMemory("no memory left while reading").At(at());
  } catch (const std::exception& error) {
    return Internal("reading failed: ", error.what()).At(at());
  }
}

}  // namespace linnet::onnx
