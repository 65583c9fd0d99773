#include "engine/replay/protocol/message.h"

#include <algorithm>
#include <concepts>

#include "engine/artifact/text.h"

namespace driftseal::replay {
namespace {

using artifact::Cat;

constexpr std::string_view kMagic = "DSRS";
constexpr size_t kNameLimit = 32, kProblemLimit = 200;

/// Fields one after the other, integers little-endian, texts behind a length of 16 bits.
class Writer {
 public:
  explicit Writer(MessageKind kind) : bytes_(kMagic) {
    Put(kServiceVersion);
    Put(static_cast<uint16_t>(kind));
  }
  template <std::unsigned_integral T>
  Writer& Put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) bytes_ += static_cast<char>((uint64_t{value} >> (8 * i)) & 0xff);
    return *this;
  }
  Writer& PutText(std::string_view text, size_t limit) {
    text = text.substr(0, limit);
    Put(static_cast<uint16_t>(text.size()));
    bytes_ += text;
    return *this;
  }
  Writer& PutKey(const SetKey& key) {
    bytes_.append(key.begin(), key.end());
    return *this;
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what Writer wrote. The first error stays; what is read after it is zero.
class Reader {
 public:
  Reader(std::string_view message, MessageKind kind) : rest_(message) {
    const absl::StatusOr<MessageKind> found = KindOf(message);
    if (!found.ok()) {
      status_ = found.status();
    } else if (*found != kind) {
      Fail("kind", Cat(static_cast<int>(*found), ", expected ", static_cast<int>(kind)));
    } else {
      rest_.remove_prefix(8);
    }
  }
  template <std::unsigned_integral T>
  T Get(std::string_view field) {
    if (!Has(field, sizeof(T))) return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value |= uint64_t{static_cast<unsigned char>(rest_[i])} << (8 * i);
    rest_.remove_prefix(sizeof(T));
    return static_cast<T>(value);
  }
  template <std::unsigned_integral T>
  T GetWithin(std::string_view field, T least, T most) {
    const T value = Get<T>(field);
    if (status_.ok() && (value < least || value > most)) Fail(field, Cat(value, ", expected ", least, " to ", most));
    return status_.ok() ? value : T{0};
  }
  std::string GetText(std::string_view field, size_t limit) {
    const size_t length = Get<uint16_t>(field);
    if (status_.ok() && length > limit) Fail(field, Cat(length, " bytes, at most ", limit));
    if (!Has(field, length)) return "";
    const std::string text(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return text;
  }
  SetKey GetKey(std::string_view field) {
    SetKey key{};
    if (!Has(field, key.size())) return key;
    std::copy_n(rest_.begin(), key.size(), key.begin());
    rest_.remove_prefix(key.size());
    return key;
  }
  void Fail(std::string_view field, std::string_view what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(Cat("a message's ", field, ": ", what));
  }
  template <class T>
  absl::StatusOr<T> Finish(T message) {
    if (status_.ok() && !rest_.empty()) Fail("end", Cat(rest_.size(), " bytes too many"));
    if (!status_.ok()) return status_;
    return message;
  }

 private:
  bool Has(std::string_view field, size_t bytes) {
    if (status_.ok() && rest_.size() < bytes) Fail(field, "the message ends before it");
    return status_.ok();
  }
  std::string_view rest_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<MessageKind> KindOf(std::string_view message) {
  if (message.size() > kMessageLimit) return absl::InvalidArgumentError(Cat("a message of ", message.size(), " bytes"));
  if (message.size() < 8 || message.substr(0, 4) != kMagic) {
    return absl::InvalidArgumentError(Cat("a message does not begin with ", kMagic));
  }
  const auto word = [&](size_t at) {
    return static_cast<unsigned char>(message[at]) | static_cast<unsigned>(static_cast<unsigned char>(message[at + 1]))
                                                         << 8;
  };
  if (word(4) != kServiceVersion) {
    return absl::InvalidArgumentError(Cat("a message of version ", word(4), ", expected ", kServiceVersion));
  }
  if (word(6) < 1 || word(6) > static_cast<unsigned>(MessageKind::kAnswer)) {
    return absl::InvalidArgumentError(Cat("a message of the unknown kind ", word(6)));
  }
  return static_cast<MessageKind>(word(6));
}

std::string Encode(const Hello& message) {
  Writer writer(MessageKind::kHello);
  const size_t count = std::min(message.measures.size(), kMostMeasures);
  writer.Put(static_cast<uint16_t>(count));
  for (size_t i = 0; i < count; ++i) {
    const Measure& measure = message.measures[i];
    writer.PutText(measure.name, kNameLimit).Put(static_cast<uint8_t>(measure.active));
    writer.PutText(measure.problem, kProblemLimit);
  }
  return writer.Take();
}

absl::StatusOr<Hello> DecodeHello(std::string_view message) {
  Reader reader(message, MessageKind::kHello);
  Hello hello;
  const auto count = reader.GetWithin<uint16_t>("number of measures", 0, kMostMeasures);
  for (size_t i = 0; i < count; ++i) {
    Measure measure;
    measure.name = reader.GetText("measure's name", kNameLimit);
    measure.active = reader.GetWithin<uint8_t>("measure's state", 0, 1) == 1;
    measure.problem = reader.GetText("measure's problem", kProblemLimit);
    hello.measures.push_back(std::move(measure));
  }
  return reader.Finish(std::move(hello));
}

std::string Encode(const Spawn& message) {
  return Writer(MessageKind::kSpawn)
      .Put(message.memory_limit)
      .Put(message.processor_seconds)
      .PutKey(message.set_key)
      .Put(message.set_length)
      .Take();
}

absl::StatusOr<Spawn> DecodeSpawn(std::string_view message) {
  Reader reader(message, MessageKind::kSpawn);
  Spawn spawn;
  spawn.memory_limit = reader.GetWithin<uint64_t>("memory limit", 1, uint64_t{1} << 50);
  spawn.processor_seconds = reader.Get<uint32_t>("processor seconds");
  spawn.set_key = reader.GetKey("set's key");
  spawn.set_length = reader.GetWithin<uint64_t>("set's length", 1, kSetLimit);
  return reader.Finish(spawn);
}

std::string Encode(const Exited& message) {
  return Writer(MessageKind::kExited)
      .Put(static_cast<uint32_t>(message.wait_status))
      .Put(message.processor_us)
      .Put(message.peak_kib)
      .Take();
}

absl::StatusOr<Exited> DecodeExited(std::string_view message) {
  Reader reader(message, MessageKind::kExited);
  Exited exited;
  exited.wait_status = static_cast<int32_t>(reader.GetWithin<uint32_t>("wait status", 0, 0xffff));
  exited.processor_us = reader.Get<uint64_t>("processor time");
  exited.peak_kib = reader.Get<uint64_t>("peak memory");
  return reader.Finish(exited);
}

std::string Encode(const Refused& message) {
  return Writer(MessageKind::kRefused).PutText(message.text, kTextLimit).Take();
}

absl::StatusOr<Refused> DecodeRefused(std::string_view message) {
  Reader reader(message, MessageKind::kRefused);
  return reader.Finish(Refused{reader.GetText("text", kTextLimit)});
}

std::string Encode(const Job& message) {
  return Writer(MessageKind::kJob)
      .Put(message.id)
      .Put(static_cast<uint8_t>(message.kind))
      .Put(static_cast<uint8_t>(message.runtime))
      .Put(message.model_length)
      .Put(message.answer_capacity)
      .PutKey(message.set_key)
      .Put(message.set_length)
      .PutText(message.options, kOptionsLimit)
      .Take();
}

absl::StatusOr<Job> DecodeJob(std::string_view message) {
  Reader reader(message, MessageKind::kJob);
  Job job;
  job.id = reader.Get<uint64_t>("id");
  job.kind = static_cast<JobKind>(reader.GetWithin<uint8_t>("kind of job", 1, 2));
  job.runtime = static_cast<ModelRuntime>(reader.GetWithin<uint8_t>("runtime", 0, 1));
  job.model_length = reader.GetWithin<uint64_t>("model's length", 1, kModelLimit);
  job.answer_capacity = reader.GetWithin<uint64_t>("answer's capacity", 1, kAnswerLimit);
  job.set_key = reader.GetKey("set's key");
  job.set_length = reader.GetWithin<uint64_t>("set's length", 1, kSetLimit);
  job.options = reader.GetText("options", kOptionsLimit);
  return reader.Finish(std::move(job));
}

std::string Encode(const Answer& message) {
  return Writer(MessageKind::kAnswer)
      .Put(message.id)
      .Put(static_cast<uint8_t>(message.code))
      .Put(message.length)
      .PutText(message.text, kTextLimit)
      .Take();
}

absl::StatusOr<Answer> DecodeAnswer(std::string_view message, const Job& job) {
  Reader reader(message, MessageKind::kAnswer);
  Answer answer;
  answer.id = reader.Get<uint64_t>("id");
  if (answer.id != job.id) reader.Fail("id", Cat(answer.id, ", expected ", job.id));
  answer.code = static_cast<absl::StatusCode>(reader.Get<uint8_t>("code"));
  if (answer.code != absl::StatusCode::kOk && answer.code != absl::StatusCode::kInvalidArgument &&
      answer.code != absl::StatusCode::kResourceExhausted && answer.code != absl::StatusCode::kInternal) {
    reader.Fail("code", Cat(static_cast<int>(answer.code), " is none that a worker may give"));
  }
  const bool good = answer.code == absl::StatusCode::kOk;
  answer.length = reader.GetWithin<uint64_t>("answer's length", 0, good ? job.answer_capacity : 0);
  answer.text = reader.GetText("text", good ? 0 : kTextLimit);
  return reader.Finish(std::move(answer));
}

}  // namespace driftseal::replay
