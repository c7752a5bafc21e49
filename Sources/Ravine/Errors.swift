import CRavine
import CShims

/// A failed call: the status to branch on, and the sentence to read.
public struct RavineError: Error, Sendable {
  public let status: Int32
  public let message: Text

  public init(_ status: Int32, _ message: Text) {
    self.status = status
    self.message = message
  }

  static func recipe(_ message: Text) -> RavineError { RavineError(RVN_ERR_RECIPE, message) }
  static func argument(_ message: Text) -> RavineError { RavineError(RVN_ERR_ARGUMENT, message) }
  static func name(_ message: Text) -> RavineError { RavineError(RVN_ERR_NAME, message) }
  static func state(_ message: Text) -> RavineError { RavineError(RVN_ERR_STATE, message) }
  static func format(_ message: Text) -> RavineError { RavineError(RVN_ERR_FORMAT, message) }
  static func mismatch(_ message: Text) -> RavineError { RavineError(RVN_ERR_MISMATCH, message) }
  static var memory: RavineError {
    @inline(never) get { RavineError(RVN_ERR_MEMORY, "out of memory") }
  }
}

/// Fails if a small object had to come from the reserve: whoever builds something aside asks before
/// publishing it, and whoever builds much asks often.
@inline(never)
public func checkMemory() throws(RavineError) {
  if ravine_exhausted() != 0 { throw .memory }
}
