import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.util.Map;
import java.util.TreeMap;
import org.postgresql.util.DriverInfo;

/** Tries pgjdbc with each folder that the command line names, and prints a line for each. */
public class Pgjdbc {
  private static final String QUERY =
      "SELECT current_user, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

  private interface Way {
    Connection connect(Path secret) throws Exception;
  }

  private static final Map<String, Way> WAYS =
      new TreeMap<>(Map.of("published", Pgjdbc::published, "lines", Pgjdbc::lines, "preset jdbc", Pgjdbc::preset));

  public static void main(String[] folders) {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    out.println("pgjdbc\tversion\t" + DriverInfo.DRIVER_VERSION);
    for (String folder : folders) {
      for (String way : WAYS.keySet()) {
        out.println("pgjdbc\t" + way + "\t" + folder + "\t" + attempt(WAYS.get(way), Path.of(folder)));
      }
    }
  }

  private static Connection published(Path secret) throws Exception {
    return DriverManager.getConnection(Files.readString(secret.resolve("jdbc-url")));
  }

  private static Connection preset(Path secret) throws Exception {
    return DriverManager.getConnection(Files.readString(secret.resolve("presets/jdbc/jdbc-url")));
  }

  private static Connection lines(Path secret) throws Exception {
    // docs: pgjdbc
    String url = Files.readString(secret.resolve("jdbc-url")) + "&sslrootcert=" + secret.resolve("ca.crt");
    Connection connection = DriverManager.getConnection(url);
    // end
    return connection;
  }

  /** What a login comes to: who it is and how, or why it is none. */
  private static String attempt(Way way, Path secret) {
    try (Connection connection = way.connect(secret);
        ResultSet row = connection.createStatement().executeQuery(QUERY)) {
      row.next();
      return "in\t" + row.getString(1) + "\t" + row.getString(2);
    } catch (Exception error) {
      return "refused\t" + error.getClass().getSimpleName() + ": " + String.valueOf(error.getMessage()).replaceAll("\\s+", " ");
    }
  }
}
