#include "engine/store/verdict_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"
#include "engine/store/sqlite.h"

namespace driftseal::store {
namespace {

using artifact::Cat;

// PRAGMA application_id: "DSvs". PRAGMA user_version: the schema's version.
constexpr int64_t kApplication = 0x44537673;
constexpr int64_t kVersion = 1;
constexpr off_t kCheckedBytes = off_t{256} << 20;
constexpr size_t kGroup = 1024;  // Verdicts of one transaction.
constexpr char kSchema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE runs (key INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE,"
    " created INTEGER NOT NULL DEFAULT (unixepoch())) STRICT;"
    "CREATE TABLE verdicts (run INTEGER NOT NULL REFERENCES runs (key), id BLOB NOT NULL, request BLOB NOT NULL,"
    " verdict BLOB NOT NULL, PRIMARY KEY (run, id)) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 1146320499; PRAGMA user_version = 1; COMMIT";

struct Pending {
  std::string run, id;
  StoredVerdict verdict;
  VerdictStore::Done done;
};

absl::StatusOr<artifact::UniqueFd> Lock(const std::string& path) {
  const std::string name = Cat(path, ".lock");
  artifact::UniqueFd fd(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return artifact::ErrnoStatus(errno, name, "cannot be opened");
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        Cat(path, ": another engine has this verdict store open; give each a state folder of its own"));
  }
  return fd;
}

absl::Status Damaged(const std::string& path, std::string_view what) {
  return absl::DataLossError(
      Cat(path, ": ", what, "; move the file away to start with an empty verdict store, or restore it from a backup"));
}

// DataLoss as a user can act on it.
absl::Status Explained(const std::string& path, const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return Damaged(path, std::string_view(status.message().data(), status.message().size()));
}

absl::Status CheckOrCreate(const std::string& path, Database& database) {
  const absl::StatusOr<int64_t> application = database.Number("PRAGMA application_id");
  if (!application.ok()) return application.status();
  const absl::StatusOr<int64_t> version = database.Number("PRAGMA user_version");
  if (!version.ok()) return version.status();
  const absl::StatusOr<int64_t> tables = database.Number("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  if (*application == 0 && *version == 0 && *tables == 0) return database.Run(kSchema);
  if (*application != kApplication) return Damaged(path, "is a database, but no verdict store");
  if (*version != kVersion) {
    return absl::FailedPreconditionError(
        Cat(path, ": has version ", *version, ", this program writes version ", kVersion));
  }
  struct stat st;
  if (stat(path.c_str(), &st) != 0 || st.st_size > kCheckedBytes) return absl::OkStatus();
  const absl::StatusOr<std::string> check = database.Text("PRAGMA quick_check(1)");
  if (!check.ok()) return check.status();
  return *check == "ok" ? absl::OkStatus() : Damaged(path, Cat("is damaged: ", *check));
}

absl::StatusOr<Database> OpenDatabase(const std::string& path) {
  absl::StatusOr<Database> database = Database::Open(path);
  if (!database.ok()) return database;
  const absl::Status status =
      database->Run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 1000");
  if (!status.ok()) return status;
  return database;
}

}  // namespace

struct VerdictStore::State {
  std::string path;
  artifact::UniqueFd lock;
  Database writer, reader;
  Statement insert, find_run, add_run;               // Of the writer's thread.
  Statement look_up;                                 // Under `reading`.
  std::map<std::string, int64_t, std::less<>> runs;  // Of the writer's thread: keys of runs seen, at most kRuns.
  std::mutex reading;

  std::mutex mutex;  // Of what stands below.
  std::condition_variable wake;
  std::vector<Pending> pending;
  bool stop = false;
  std::atomic<uint64_t> stored{0}, found{0}, transactions{0};
  std::thread thread;

  absl::Status Prepare();
  void Work();
  void StoreAll(std::vector<Pending> group);
  absl::Status InsertAll(const std::vector<Pending>& group, std::vector<bool>& added);
  absl::StatusOr<int64_t> KeyOf(const std::string& run);
  absl::StatusOr<std::optional<StoredVerdict>> LookUp(std::string_view run, std::string_view id);
};

absl::Status VerdictStore::State::Prepare() {
  const std::pair<Statement*, const char*> of_writer[] = {
      {&insert, "INSERT OR IGNORE INTO verdicts (run, id, request, verdict) VALUES (?, ?, ?, ?)"},
      {&find_run, "SELECT key FROM runs WHERE name = ?"},
      {&add_run, "INSERT INTO runs (name) VALUES (?)"}};
  for (const auto& [statement, sql] : of_writer) {
    absl::StatusOr<Statement> prepared = writer.Prepare(sql);
    if (!prepared.ok()) return prepared.status();
    *statement = *std::move(prepared);
  }
  absl::StatusOr<Statement> prepared = reader.Prepare(
      "SELECT request, verdict FROM verdicts WHERE run = (SELECT key FROM runs WHERE name = ?) AND id = ?");
  if (!prepared.ok()) return prepared.status();
  look_up = *std::move(prepared);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<VerdictStore>> VerdictStore::Open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  absl::StatusOr<artifact::UniqueFd> lock = Lock(path);
  if (!lock.ok()) return lock.status();
  state->lock = *std::move(lock);
  for (Database* database : {&state->writer, &state->reader}) {
    absl::StatusOr<Database> opened = OpenDatabase(path);
    if (!opened.ok()) return Explained(path, opened.status());
    *database = *std::move(opened);
    if (database != &state->writer) continue;
    if (absl::Status status = CheckOrCreate(path, *database); !status.ok()) return Explained(path, status);
  }
  if (absl::Status status = state->Prepare(); !status.ok()) return Explained(path, status);
  state->thread = std::thread([raw = state.get()] { raw->Work(); });
  return std::unique_ptr<VerdictStore>(new VerdictStore(std::move(state)));
}

VerdictStore::VerdictStore(std::unique_ptr<State> state) : state_(std::move(state)) {}

VerdictStore::~VerdictStore() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_one();
  state_->thread.join();
}

void VerdictStore::Store(std::string run, std::string id, StoredVerdict verdict, Done done) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->pending.push_back({std::move(run), std::move(id), std::move(verdict), std::move(done)});
  }
  state_->wake.notify_one();
}

void VerdictStore::State::Work() {
  for (;;) {
    std::vector<Pending> group;
    {
      std::unique_lock lock_pending(mutex);
      wake.wait(lock_pending, [&] { return stop || !pending.empty(); });
      if (pending.empty()) return;
      if (pending.size() <= kGroup) {
        group.swap(pending);
      } else {
        const auto end = pending.begin() + kGroup;
        group.assign(std::make_move_iterator(pending.begin()), std::make_move_iterator(end));
        pending.erase(pending.begin(), end);
      }
    }
    StoreAll(std::move(group));
  }
}

absl::StatusOr<int64_t> VerdictStore::State::KeyOf(const std::string& run) {
  if (const auto known = runs.find(run); known != runs.end()) return known->second;
  constexpr size_t kRuns = 1024;
  if (runs.size() >= kRuns) runs.clear();
  find_run.BindBlob(1, run);
  const int code = find_run.Step();
  int64_t key = code == SQLITE_ROW ? find_run.Int(0) : 0;
  find_run.Reset();
  if (code == SQLITE_DONE) {
    add_run.BindBlob(1, run);
    const int added = add_run.Step();
    const absl::Status status = added == SQLITE_DONE ? absl::OkStatus() : writer.Error();
    add_run.Reset();
    if (!status.ok()) return status;
    key = writer.LastRowId();
  } else if (code != SQLITE_ROW) {
    return writer.Error();
  }
  runs.emplace(run, key);
  return key;
}

absl::Status VerdictStore::State::InsertAll(const std::vector<Pending>& group, std::vector<bool>& added) {
  if (absl::Status status = writer.Run("BEGIN IMMEDIATE"); !status.ok()) return status;
  for (size_t i = 0; i < group.size(); ++i) {
    const absl::StatusOr<int64_t> run = KeyOf(group[i].run);
    if (!run.ok()) return run.status();
    insert.BindInt(1, *run);
    insert.BindBlob(2, group[i].id);
    insert.BindBlob(3, group[i].verdict.request);
    insert.BindBlob(4, group[i].verdict.verdict);
    const int code = insert.Step();
    const absl::Status status = code == SQLITE_DONE ? absl::OkStatus() : writer.Error();
    added[i] = writer.Changed();
    insert.Reset();
    if (!status.ok()) return status;
  }
  return writer.Run("COMMIT");
}

void VerdictStore::State::StoreAll(std::vector<Pending> group) {
  std::vector<bool> added(group.size());
  absl::Status status = InsertAll(group, added);
  if (!status.ok()) {
    writer.Run("ROLLBACK").IgnoreError();
    runs.clear();  // Some were added by what was taken back.
    status = Explained(path, status);
  }
  ++transactions;
  for (size_t i = 0; i < group.size(); ++i) {
    Pending& item = group[i];
    if (!status.ok()) {
      item.done(status);
    } else if (added[i]) {
      ++stored;
      item.done(Put{std::move(item.verdict), false});
    } else {
      absl::StatusOr<std::optional<StoredVerdict>> there = LookUp(item.run, item.id);
      if (there.ok() && *there) {
        item.done(Put{**std::move(there), true});
      } else {
        item.done(there.ok() ? absl::DataLossError(Cat(path, ": a verdict that is stored cannot be found"))
                             : there.status());
      }
    }
  }
}

absl::StatusOr<std::optional<StoredVerdict>> VerdictStore::State::LookUp(std::string_view run, std::string_view id) {
  const std::lock_guard lock_reader(reading);
  look_up.BindBlob(1, run);
  look_up.BindBlob(2, id);
  const int code = look_up.Step();
  std::optional<StoredVerdict> verdict;
  absl::Status status;
  if (code == SQLITE_ROW) {
    verdict = StoredVerdict{look_up.Blob(0), look_up.Blob(1)};
    ++found;
  } else if (code != SQLITE_DONE) {
    status = Explained(path, reader.Error());
  }
  look_up.Reset();
  if (!status.ok()) return status;
  return verdict;
}

absl::StatusOr<std::optional<StoredVerdict>> VerdictStore::Get(std::string_view run, std::string_view id) {
  return state_->LookUp(run, id);
}

VerdictStore::Counts VerdictStore::counts() const { return {state_->stored, state_->found, state_->transactions}; }

}  // namespace driftseal::store
