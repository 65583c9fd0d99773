#ifndef DRIFTSEAL_ENGINE_STORE_SQLITE_H_
#define DRIFTSEAL_ENGINE_STORE_SQLITE_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// As much of SQLite as the stores of this folder use. One thread at a time.
namespace driftseal::store {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

/// A prepared statement. Bind, Step, read columns, Reset.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  /// `bytes` must stay until Reset.
  void BindBlob(int index, std::string_view bytes);
  void BindInt(int index, int64_t value) { sqlite3_bind_int64(statement_.get(), index, value); }
  int Step() { return sqlite3_step(statement_.get()); }  ///< SQLITE_ROW, SQLITE_DONE or an error.
  std::string Blob(int column) const;
  int64_t Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  void Reset();

 private:
  std::unique_ptr<sqlite3_stmt, FinalizeStatement> statement_;
};

class Database {
 public:
  static absl::StatusOr<Database> Open(const std::string& path);
  absl::Status Run(const char* sql);  ///< Statements without results.
  absl::StatusOr<Statement> Prepare(const char* sql);
  absl::StatusOr<int64_t> Number(const char* sql);  ///< The one number that it gives.
  absl::StatusOr<std::string> Text(const char* sql);
  int64_t LastRowId() const { return sqlite3_last_insert_rowid(handle_.get()); }
  bool Changed() const { return sqlite3_changes(handle_.get()) > 0; }  ///< By the last statement.
  /// What went wrong last: DataLoss for damage and for what is no database, ResourceExhausted for a full disk,
  /// FailedPrecondition for a lock, else Internal.
  absl::Status Error() const;

 private:
  std::string path_;
  std::unique_ptr<sqlite3, CloseDatabase> handle_;
};

}  // namespace driftseal::store

#endif  // DRIFTSEAL_ENGINE_STORE_SQLITE_H_
